import { Health, HealthCheckResponse, type HealthCheckRequest } from "../../proto/rpcServices.js";
import { RpcError, RpcStatus, type MprpcController } from "../index.js";

export const ServingStatus = HealthCheckResponse.ServingStatus;
export type ServingStatus = HealthCheckResponse.ServingStatus;

/** Says whether a server and its services take calls: gRPC's health service. */
export class HealthService extends Health {
  /** The empty name stands for the server as a whole. */
  readonly #statuses = new Map<string, ServingStatus>([["", ServingStatus.SERVING]]);
  /** Each wakes one `Watch`, which then looks for itself. */
  readonly #watchers = new Set<() => void>();
  #shutDown = false;

  /**
   * Sets what callers are told of `service`, or of the whole server with "". After `shutdown` it
   * does nothing.
   */
  setStatus(service: string, status: ServingStatus): void {
    if (this.#shutDown) return;
    this.#statuses.set(service, status);
    this.#wakeAll();
  }

  /**
   * NOT_SERVING for all that was named, so that balancers look elsewhere: to be called some time
   * before `RpcProvider.close`. Those who watch are told, and their streams end, since a provider
   * waits for what is in flight.
   */
  shutdown(): void {
    for (const service of this.#statuses.keys()) this.setStatus(service, ServingStatus.NOT_SERVING);
    this.#shutDown = true;
    this.#wakeAll();
  }

  override Check({ service }: HealthCheckRequest): HealthCheckResponse.$Properties {
    const status = this.#statuses.get(service);
    if (status === undefined) {
      throw new RpcError(RpcStatus.NOT_FOUND, `nothing is known of a service ${service}`);
    }
    return { status };
  }

  override async *Watch(
    { service }: HealthCheckRequest,
    { abortSignal }: MprpcController,
  ): AsyncGenerator<HealthCheckResponse.$Properties> {
    let told: ServingStatus | null = null;
    while (!abortSignal.aborted) {
      const status = this.#statuses.get(service) ?? ServingStatus.SERVICE_UNKNOWN;
      if (status !== told) {
        told = status;
        yield { status };
      } else if (this.#shutDown) return;
      else await this.#change(abortSignal);
    }
  }

  #wakeAll(): void {
    for (const wake of this.#watchers) wake();
  }

  /** Until anything changes, or nobody waits for it any more. */
  #change(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        this.#watchers.delete(wake);
        signal.removeEventListener("abort", wake);
        resolve();
      };
      this.#watchers.add(wake);
      signal.addEventListener("abort", wake);
    });
  }
}
