import { afterEach, beforeEach, expect, test } from "vitest";
import { MprpcChannel, RpcProvider, type ServerStream } from "../../../rpc/index.js";
import { Health_Stub, HealthService, ServingStatus } from "../../../rpc/services/index.js";

let health: HealthService;
let provider: RpcProvider;
let channel: MprpcChannel;
let stub: Health_Stub;

beforeEach(async () => {
  health = new HealthService();
  provider = new RpcProvider();
  provider.notifyService(health);
  channel = new MprpcChannel(await provider.run("127.0.0.1", 0));
  stub = new Health_Stub(channel);
});

afterEach(async () => {
  channel.close();
  await provider.close(0);
});

async function nextOf<T extends { status: number }>(stream: ServerStream<T>): Promise<unknown> {
  const { value } = await stream.next();
  return value?.status;
}

test("a server serves from the start; a service nobody named is not found", async () => {
  expect(await stub.Check({})).toMatchObject({ status: ServingStatus.SERVING });
  await expect(stub.Check({ service: "shop" })).rejects.toMatchObject({ code: "NOT_FOUND" });
  health.setStatus("shop", ServingStatus.NOT_SERVING);
  expect(await stub.Check({ service: "shop" })).toMatchObject({
    status: ServingStatus.NOT_SERVING,
  });
});

test("who watches is told the state at once, and each change once", async () => {
  const watch = stub.Watch({ service: "shop" });
  expect(await nextOf(watch)).toBe(ServingStatus.SERVICE_UNKNOWN);
  health.setStatus("other", ServingStatus.SERVING);
  health.setStatus("shop", ServingStatus.SERVING);
  expect(await nextOf(watch)).toBe(ServingStatus.SERVING);
  health.setStatus("shop", ServingStatus.SERVING);
  health.setStatus("shop", ServingStatus.NOT_SERVING);
  expect(await nextOf(watch)).toBe(ServingStatus.NOT_SERVING);
  await watch.return();
  // The handler has ended, too: nothing is in flight that a close would have to wait for.
  await provider.close(60_000);
});

test("a shutdown is told, is final, and ends the streams so that the provider can close", async () => {
  const watch = stub.Watch({});
  expect(await nextOf(watch)).toBe(ServingStatus.SERVING);
  health.shutdown();
  health.setStatus("", ServingStatus.SERVING);
  expect(await nextOf(watch)).toBe(ServingStatus.NOT_SERVING);
  expect(await watch.next()).toEqual({ value: undefined, done: true });
  await provider.close(60_000);
});
