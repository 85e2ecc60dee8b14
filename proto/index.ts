/**
 * The only way to the generated code: messages, their codecs, and for each service its methods, its
 * descriptor, its abstract class and its stub.
 */
export * from "./gen/messages.js";
export * from "./gen/services.js";
