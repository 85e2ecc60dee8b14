export * from "./byteWriter.js";
export * from "./codec.js";
export * from "./messageReader.js";
export * from "./mprpcController.js";
export * from "./service.js";
export * from "./status.js";
export * from "./stub.js";
export * from "./turn.js";
