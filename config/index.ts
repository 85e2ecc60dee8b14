export * from "./configError.js";
export * from "./logger.js";
export * from "./mprpcConfig.js";
export * from "./nodeAddress.js";
export * from "./options.js";
export * from "./settings.js";
