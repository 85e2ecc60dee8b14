/** The only way to the generated code of the services that come with mprpc: health, reflection. */
export * from "./gen/rpc/messages.js";
export * from "./gen/rpc/services.js";
