import type protobuf from "protobufjs";
import type { Module } from "./messages.js";
import { schemaBytes } from "./descriptors.js";
import { checkedField, type Int64 } from "./fields.js";
import { classPathOf, fullNameOf, identifiersFor, type Schema } from "./schema.js";

type Names = ReadonlyMap<protobuf.Type, string>;

const runtimeValues = "callServerStream, callUnary, defineCodec, settle, unimplemented";
const runtimeTypes =
  "CallOptions, MethodDescriptor, MprpcController, NamedCodec, RpcChannel, RpcService, ServerStream, ServiceDescriptor";

/** Codecs of all messages; descriptor, abstract service and stub of each service. */
export function generateServices(schema: Schema, runtime: string, int64: Int64): Module {
  const names = identifiersFor(schema.messages);
  const services = identifiersFor(schema.services);
  const source = JSON.stringify(runtime);
  const header = "// Made by mprpc-gen from .proto files. Changes are lost.\n";
  const js = [
    header,
    `import { ${runtimeValues} } from ${source};\nimport * as messages from "./messages.js";\n`,
    ...schema.messages.map((message) => codecJs(message, names, int64)),
  ];
  const dts = [
    header,
    `import type { ${runtimeTypes} } from ${source};\nimport type * as messages from "./messages.js";\n`,
    ...schema.messages.map((message) => codecDts(message, names)),
  ];
  if (services.size > 0) js.push(schemaJs(schema));
  for (const [service, name] of services) {
    js.push(descriptorJs(service, name, names), serviceJs(service, name), stubJs(service, name));
    dts.push(descriptorDts(service, name), serviceDts(service, name), stubDts(service, name));
  }
  return { js: js.join("\n"), dts: dts.join("\n") };
}

function codecJs(message: protobuf.Type, names: Names, int64: Int64): string {
  const name = names.get(message)!;
  const fields = message.fieldsArray
    .map((field) => checkedField(field, (inner) => `${names.get(inner)!}Fields`, int64))
    .filter(Boolean);
  return `const ${name}Fields = [${fields.map((field) => `\n  ${field},`).join("")}\n];
export const ${name}Codec = defineCodec(
  messages.${classPathOf(message)}, "${fullNameOf(message)}", ${name}Fields);
`;
}

function codecDts(message: protobuf.Type, names: Names): string {
  return `export declare const ${names.get(message)!}Codec: NamedCodec<${readType(message)}, ${initType(message)}>;`;
}

/** What decoding gives: every field has a value. */
function readType(message: protobuf.Type): string {
  return `messages.${classPathOf(message)}`;
}

/** What may be encoded: every field may be left out. */
function initType(message: protobuf.Type): string {
  return `messages.${classPathOf(message)}.$Properties`;
}

function requestOf(method: protobuf.Method): protobuf.Type {
  return method.resolvedRequestType!;
}

function responseOf(method: protobuf.Method): protobuf.Type {
  return method.resolvedResponseType!;
}

/** Whether the replies are a stream. */
function streams(method: protobuf.Method): boolean {
  return method.responseStream === true;
}

function descriptorJs(service: protobuf.Service, name: string, names: Names): string {
  const methods = service.methodsArray.map(
    (method, index) => `  ${method.name}: {
    serviceName: "${service.name}", name: "${method.name}", index: ${index},
    request: ${names.get(requestOf(method))!}Codec,
    response: ${names.get(responseOf(method))!}Codec,
    kind: "${streams(method) ? "server_stream" : "unary"}",
  },\n`,
  );
  return `export const ${name}Methods = {
${methods.join("")}};
export const ${name}Descriptor = {
  name: "${service.name}",
  fullName: "${fullNameOf(service)}",
  methods: Object.values(${name}Methods),
  get schema() {
    return Buffer.from(schema, "base64");
  },
};
`;
}

/** Kept as text until somebody asks: importing a service should cost little. */
function schemaJs(schema: Schema): string {
  const base64 = Buffer.from(schemaBytes(schema)).toString("base64");
  return `const schema = "${base64}";\n`;
}

function descriptorDts(service: protobuf.Service, name: string): string {
  const methods = service.methodsArray.map(
    (method) =>
      `  readonly ${method.name}: MethodDescriptor<${initType(requestOf(method))}, ${readType(responseOf(method))}>;\n`,
  );
  return `/** The methods of ${name}, for \`RpcChannel.callMethod\`. */
export declare const ${name}Methods: {
${methods.join("")}};
export declare const ${name}Descriptor: ServiceDescriptor;
`;
}

function serviceJs(service: protobuf.Service, name: string): string {
  const methods = service.methodsArray.map(
    (method) => `  ${method.name}() {
    return unimplemented("${service.name}", "${method.name}");
  }\n`,
  );
  const cases = casesFor(
    service,
    (method) => !streams(method),
    (call) => `settle(${call}, controller, done)`,
  );
  return `export class ${name} {
  get descriptor() {
    return ${name}Descriptor;
  }
${methods.join("")}  callMethod(method, controller, request, done) {
${cases}
  }
${callStreamJs(service)}}
`;
}

/** Only services that have streams have this. */
function callStreamJs(service: protobuf.Service): string {
  if (!service.methodsArray.some(streams)) return "";
  return `  callStream(method, controller, request) {
${casesFor(service, streams, (call) => call)}
  }
`;
}

/** A switch over the methods of one kind, whose branches return what `result` makes of a call. */
function casesFor(
  service: protobuf.Service,
  wanted: (method: protobuf.Method) => boolean,
  result: (call: string) => string,
): string {
  const cases = service.methodsArray.map((method, index) => {
    if (!wanted(method)) return "";
    const call = `this.${method.name}(request, controller)`;
    return `      case ${index}:\n        return ${result(call)};\n`;
  });
  return `    switch (method.index) {
${cases.join("")}      default:
        return unimplemented("${service.name}", method.name);
    }`;
}

function serviceDts(service: protobuf.Service, name: string): string {
  const methods = service.methodsArray.map((method) => {
    const init = initType(responseOf(method));
    const reply = streams(method) ? `AsyncIterable<${init}>` : init;
    return `${comment(method, "  ")}  abstract ${method.name}(request: ${readType(requestOf(method))}, controller: MprpcController): ${reply} | Promise<${reply}>;\n`;
  });
  const callStream = service.methodsArray.some(streams)
    ? "  callStream(method: MethodDescriptor, controller: MprpcController, request: unknown): AsyncIterable<unknown> | Promise<AsyncIterable<unknown>>;\n"
    : "";
  return `${comment(service, "")}export declare abstract class ${name} implements RpcService {
  get descriptor(): ServiceDescriptor;
${methods.join("")}  callMethod(method: MethodDescriptor, controller: MprpcController, request: unknown, done: (response: unknown) => void): void;
${callStream}}
`;
}

function stubJs(service: protobuf.Service, name: string): string {
  const methods = service.methodsArray.map(
    (method) => `  ${method.name}(request, options) {
    return ${streams(method) ? "callServerStream" : "callUnary"}(this.channel, ${name}Methods.${method.name}, request, options);
  }\n`,
  );
  return `export class ${name}_Stub {
  constructor(channel) {
    this.channel = channel;
  }
${methods.join("")}}
`;
}

function stubDts(service: protobuf.Service, name: string): string {
  const methods = service.methodsArray.map((method) => {
    const result = streams(method) ? "ServerStream" : "Promise";
    return `${comment(method, "  ")}  ${method.name}(request: ${initType(requestOf(method))}, options?: MprpcController | CallOptions): ${result}<${readType(responseOf(method))}>;\n`;
  });
  return `/** Calls ${name} through a channel. Promises reject with RpcError, and streams throw it. */
export declare class ${name}_Stub {
  constructor(channel: RpcChannel);
  readonly channel: RpcChannel;
${methods.join("")}}
`;
}

function comment(object: protobuf.ReflectionObject, indent: string): string {
  if (object.comment === null) return "";
  const lines = object.comment.replaceAll("*/", "* /").split("\n");
  if (lines.length === 1) return `${indent}/** ${lines[0]} */\n`;
  return `${indent}/**\n${lines.map((line) => `${indent} * ${line}\n`).join("")}${indent} */\n`;
}
