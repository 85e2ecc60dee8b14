/** Services that any provider may offer beside its own, and their stubs. */
export {
  Health_Stub,
  HealthMethods,
  Reflection_Stub,
  ReflectionMethods,
} from "../../proto/rpcServices.js";
export * from "./health.js";
export * from "./reflection.js";
