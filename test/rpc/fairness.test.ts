import { afterEach, expect, test } from "vitest";
import { rpcLimits } from "../../config/options.js";
import { GetArgsCodec, type RpcHeader } from "../../proto/index.js";
import { ByteWriter } from "../../rpc/index.js";
import { bytes, closeAll, frame, rawClient, startProvider, text, until } from "./support.js";

afterEach(closeAll);

const header: RpcHeader.$Properties = {
  service_name: bytes("kvServerRpc"),
  method_name: bytes("Get"),
};

function get(callId: number, key: string): Buffer {
  const args = new ByteWriter();
  GetArgsCodec.encode({ Key: bytes(key) }, args);
  return frame({ ...header, call_id: callId }, args.finish());
}

function flood(count: number): Buffer {
  return Buffer.concat(Array.from({ length: count }, (_, i) => get(i + 1, `k${i}`)));
}

/** Counts what `count` counted in each turn of the event loop; returns the largest of it so far. */
function largestTurn(count: () => number): () => number {
  let before = 0;
  let largest = 0;
  const look = (): void => {
    const now = count();
    largest = Math.max(largest, now - before);
    before = now;
    setImmediate(look).unref();
  };
  look();
  return () => largest;
}

test("a caller that floods gets no more than its share of a turn, and all in the end", async () => {
  const { service, port } = await startProvider({ callsInFlightMax: 100_000 });
  const keys: string[] = [];
  service.get = ({ Key }) => {
    keys.push(text(Key));
    return { Err: bytes("OK") };
  };
  const caller = await rawClient(port);
  const total = 20 * rpcLimits.requestsPerTurnMax;
  const requests = flood(total);
  const largest = largestTurn(() => keys.length);
  caller.send(requests);
  await until(() => keys.length === total, "all requests were run");
  expect(keys).toEqual(Array.from({ length: total }, (_, i) => `k${i}`));
  // What is left of one turn may be run just before the next.
  expect(largest()).toBeLessThanOrEqual(2 * rpcLimits.requestsPerTurnMax);
});

test("while a window is full, no more is read than what one chunk holds", async () => {
  const { service, port } = await startProvider({ callsInFlightMax: 1 });
  let run = 0;
  service.get = async () => {
    run++;
    await new Promise((resolve) => setImmediate(resolve));
    return { Err: bytes("OK") };
  };
  const caller = await rawClient(port);
  const request = get(1, "k".repeat(300));
  const requests = Buffer.alloc(80_000 * request.length, request);
  caller.send(requests);
  await until(() => run >= 1_000, "a thousand requests were run");
  // The rest waits here, and in the kernel's buffers, which hold a few MiB.
  expect(caller.socket.writableLength).toBeGreaterThan(requests.length / 2);
});
