import type { MethodDescriptor, ServiceDescriptor } from "./service.js";

/** `service` with methods of one's own in place of those of the same names: other codecs, say. */
export function withMethods(
  service: ServiceDescriptor,
  own: readonly MethodDescriptor[],
): ServiceDescriptor {
  const methods = service.methods.map(
    (candidate) => own.find(({ name }) => name === candidate.name) ?? candidate,
  );
  return { ...service, methods };
}
