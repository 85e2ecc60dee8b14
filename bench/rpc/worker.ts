/** One process of the benchmark: a server, or a client that makes calls when it is told to. */
import { load, type LoadResult } from "./load.js";
import { isKind, peers, type Kind } from "./peers.js";

export interface LoadOrder {
  readonly port: number;
  readonly inFlight: number;
  readonly payloadBytes: number;
  readonly warmUpMs: number;
  readonly durationMs: number;
}

/** To a server: what CPU time has it used? */
export interface CpuOrder {
  readonly cpu: true;
}

export type Order = LoadOrder | CpuOrder;

function answer(message: unknown): void {
  process.send!(message);
}

async function runLoad(kind: Kind, order: LoadOrder): Promise<LoadResult> {
  const payload = Buffer.alloc(order.payloadBytes, "mprpc");
  const caller = await peers[kind].connect(order.port, payload);
  await load(caller, order.inFlight, order.warmUpMs);
  answer("warm");
  const result = await load(caller, order.inFlight, order.durationMs);
  caller.close();
  return result;
}

const [role, kind = ""] = process.argv.slice(2);
if (!isKind(kind)) throw new Error(`there is no ${kind}`);
process.on("disconnect", () => process.exit());
process.on("message", (order: Order) => {
  if ("cpu" in order) answer(process.cpuUsage());
  else void runLoad(kind, order).then(answer);
});
if (role === "server") answer(await peers[kind].serve());
else answer("ready");
