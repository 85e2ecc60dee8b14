import {
  Reflection,
  type GetSchemaRequest,
  type GetSchemaResponse,
  type ListServicesResponse,
  type ServiceInfo,
} from "../../proto/rpcServices.js";
import { RpcError, RpcStatus, type ServiceDescriptor } from "../index.js";

/** Whose services are told; an `RpcProvider` is one. */
export interface Reflected {
  readonly services: readonly ServiceDescriptor[];
}

/** Tells callers which services a provider offers, their methods and their schema. */
export class ReflectionService extends Reflection {
  readonly #provider: Reflected;

  constructor(provider: Reflected) {
    super();
    this.#provider = provider;
  }

  override ListServices(): ListServicesResponse.$Properties {
    return { services: this.#provider.services.map(describe) };
  }

  override GetSchema({ service }: GetSchemaRequest): GetSchemaResponse.$Properties {
    const found = this.#provider.services.find(
      ({ name, fullName }) => name === service || fullName === service,
    );
    if (found?.schema === undefined) {
      throw new RpcError(RpcStatus.NOT_FOUND, `there is no schema of a service ${service}`);
    }
    return { file_descriptor_set: found.schema };
  }
}

function describe({ name, fullName, methods }: ServiceDescriptor): ServiceInfo.$Properties {
  return {
    name,
    full_name: fullName,
    methods: methods.map((method) => ({
      name: method.name,
      server_stream: method.kind === "server_stream",
    })),
  };
}
