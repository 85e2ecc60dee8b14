import { parseArgs } from "node:util";

export type Work = "put" | "get";

/** How one target is driven, whatever else is measured beside. */
export interface Setup {
  readonly connections: number;
  readonly ownConnections: boolean;
  readonly keys: number;
  readonly valueBytes: number;
  readonly warmUpMs: number;
  readonly measureMs: number;
}

export interface Plan extends Setup {
  readonly targets: readonly string[];
  readonly work: readonly Work[];
  readonly inFlight: readonly number[];
  /** Open loop instead, at these rates. */
  readonly rates: readonly number[];
  readonly nodes: number;
  readonly rounds: number;
  readonly out: string | null;
}

const help = `usage: npm run bench -- [options]

  --targets LIST      of mprpc-raft, etcd, redis (mprpc-raft)
  --work LIST         of put, get (put,get)
  --in-flight LIST    calls in flight, closed loop (1,16,64,256)
  --rates LIST        calls a second instead, open loop
  --connections N     sockets that the calls share (1)
  --own-connections   a socket for each call in flight
  --nodes N           size of a cluster (3)
  --keys N            different keys, all written before (10000)
  --value-bytes N     size of a value (256)
  --rounds N          runs of everything; the table shows medians (1)
  --warm-up S         seconds before anything is counted (1)
  --seconds S         seconds that are counted (4)
  --out FILE          writes FILE.json and plots FILE-put.svg, FILE-get.svg`;

function fail(reason: string): never {
  process.stderr.write(`${reason}\n\n${help}\n`);
  process.exit(2);
}

function list(text: string): string[] {
  return text.split(",").filter((item) => item !== "");
}

function numberOf(name: string, text: string, least: number): number {
  const value = Number(text);
  if (text === "" || !Number.isFinite(value) || value < least)
    fail(`--${name}: ${text} is not a number of at least ${least}`);
  return value;
}

function numbers(name: string, text: string): number[] {
  return list(text).map((item) => numberOf(name, item, 1));
}

export function planOf(argv: readonly string[]): Plan {
  let values;
  try {
    ({ values } = parseArgs({
      args: [...argv],
      options: {
        targets: { type: "string", default: "mprpc-raft" },
        work: { type: "string", default: "put,get" },
        "in-flight": { type: "string", default: "1,16,64,256" },
        rates: { type: "string", default: "" },
        connections: { type: "string", default: "1" },
        "own-connections": { type: "boolean", default: false },
        nodes: { type: "string", default: "3" },
        keys: { type: "string", default: "10000" },
        "value-bytes": { type: "string", default: "256" },
        rounds: { type: "string", default: "1" },
        "warm-up": { type: "string", default: "1" },
        seconds: { type: "string", default: "4" },
        out: { type: "string" },
        help: { type: "boolean", short: "h", default: false },
      },
    }));
  } catch (error) {
    fail((error as Error).message);
  }
  if (values.help) {
    process.stdout.write(`${help}\n`);
    process.exit(0);
  }
  const work = list(values.work);
  const unknown = work.find((item) => item !== "put" && item !== "get");
  if (unknown !== undefined) fail(`--work: there is no ${unknown}`);
  return {
    targets: list(values.targets),
    work: work as Work[],
    inFlight: numbers("in-flight", values["in-flight"]),
    rates: numbers("rates", values.rates),
    connections: numberOf("connections", values.connections, 1),
    ownConnections: values["own-connections"],
    nodes: numberOf("nodes", values.nodes, 1),
    keys: numberOf("keys", values.keys, 1),
    valueBytes: numberOf("value-bytes", values["value-bytes"], 1),
    rounds: numberOf("rounds", values.rounds, 1),
    warmUpMs: numberOf("warm-up", values["warm-up"], 0) * 1000,
    measureMs: numberOf("seconds", values.seconds, 0.1) * 1000,
    out: values.out ?? null,
  };
}
