import { ReplyFramer, type RequestHeader } from "./framing.js";
import type { MethodDescriptor, RpcService, ServiceDescriptor } from "./service.js";

/** One method that a provider offers. */
export interface OfferedMethod {
  readonly service: RpcService;
  readonly method: MethodDescriptor;
  readonly framer: ReplyFramer;
  /** Whether its replies are streams. */
  readonly streams: boolean;
  readonly serviceName: Buffer;
  readonly methodName: Buffer;
}

const bucketsCount = 256;

/**
 * Finds a method by the bytes of its names, where they lie in a header: with few methods their
 * lengths tell most of them apart, and no string is made.
 */
export class MethodTable {
  /** Whether any of the services is essential. */
  hasEssential = false;
  readonly #services = new Map<string, ServiceDescriptor>();
  readonly #buckets: OfferedMethod[][] = Array.from({ length: bucketsCount }, () => []);

  /** @throws Error when a service of this name is there already. */
  add(service: RpcService): void {
    const { name, methods } = service.descriptor;
    if (this.#services.has(name)) throw new Error(`a service ${name} was notified before`);
    this.#services.set(name, service.descriptor);
    if (service.essential === true) this.hasEssential = true;
    for (const method of methods) {
      const serviceName = Buffer.from(name);
      const methodName = Buffer.from(method.name);
      const framer = new ReplyFramer(method.response);
      const bucket = this.#bucket(serviceName.length, methodName.length);
      const streams = method.kind === "server_stream";
      bucket.push({ service, method, framer, streams, serviceName, methodName });
    }
  }

  get services(): readonly ServiceDescriptor[] {
    return [...this.#services.values()];
  }

  hasService(name: string): boolean {
    return this.#services.has(name);
  }

  find(header: RequestHeader): OfferedMethod | null {
    const { bytes, serviceStart, serviceEnd, methodStart, methodEnd } = header;
    for (const offered of this.#bucket(serviceEnd - serviceStart, methodEnd - methodStart)) {
      const same =
        equals(bytes, methodStart, methodEnd, offered.methodName) &&
        equals(bytes, serviceStart, serviceEnd, offered.serviceName);
      if (same) return offered;
    }
    return null;
  }

  #bucket(serviceLength: number, methodLength: number): OfferedMethod[] {
    return this.#buckets[(serviceLength * 31 + methodLength) % bucketsCount]!;
  }
}

function equals(bytes: Buffer, start: number, end: number, name: Buffer): boolean {
  if (end - start !== name.length) return false;
  for (let index = 0; index < name.length; index++) {
    if (bytes[start + index] !== name[index]) return false;
  }
  return true;
}
