/**
 * @grpc/grpc-js, a bare socket and mprpc, in turn, each with its server and its client in processes
 * of their own. Medians of several rounds, since a machine's speed drifts by a fifth within hours.
 */
import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { median } from "../median.js";
import { orUsage } from "../usage.js";
import { measureLayers } from "./layers.js";
import { Pair, type Measured } from "./pair.js";
import { isKind, kinds, type Kind } from "./peers.js";
import { formatLayers, formatTable, type Cell } from "./report.js";

const usage = `usage: npm run bench:rpc -- [options]

  --duration MS    of one measurement (default 1000)
  --warm-up MS     before each (default 300)
  --rounds N       medians are of so many (default 5)
  --in-flight N,N  calls at a time (default 1,16,64,256)
  --payload N,N    bytes of each request's and reply's payload (default 64,1024)
  --only NAME,...  of: ${kinds.join(", ")}
  --layers         only what each layer costs
  --json FILE      also writes all of it there (default bench/build/rpc.json)
`;

function readOptions() {
  const values = orUsage(usage, () =>
    parseArgs({
      options: {
        duration: { type: "string", default: "1000" },
        "warm-up": { type: "string", default: "300" },
        rounds: { type: "string", default: "5" },
        "in-flight": { type: "string", default: "1,16,64,256" },
        payload: { type: "string", default: "64,1024" },
        only: { type: "string", default: kinds.join(",") },
        layers: { type: "boolean", default: false },
        json: { type: "string", default: "bench/build/rpc.json" },
        help: { type: "boolean", default: false },
      },
    }),
  );
  return {
    durationMs: positive("duration", values.duration),
    warmUpMs: positive("warm-up", values["warm-up"]),
    rounds: positive("rounds", values.rounds),
    inFlight: values["in-flight"].split(",").map((text) => positive("in-flight", text)),
    payloadBytes: values.payload.split(",").map((text) => positive("payload", text)),
    only: values.only.split(",").map(kindOf),
    layers: values.layers,
    json: values.json,
  };
}

function positive(name: string, text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) throw new RangeError(`--${name}: ${text} is no count`);
  return value;
}

function kindOf(text: string): Kind {
  if (!isKind(text)) throw new RangeError(`--only: there is no ${text}`);
  return text;
}

/** A JavaScript engine needs a while to find out what is hot; grpc-js needs longest. */
const compileMs = 4_000;

type Options = ReturnType<typeof readOptions>;

/** All kinds one after the other, for each setting, and that over again. */
async function measureAll(options: Options): Promise<Cell[]> {
  const pairs = await Promise.all(options.only.map((kind) => Pair.start(kind)));
  for (const pair of pairs) {
    progress(`compiling: ${pair.kind}`);
    await pair.measure({ inFlight: 64, payloadBytes: 64, warmUpMs: 100, durationMs: compileMs });
  }
  const settings = options.payloadBytes.flatMap((payloadBytes) =>
    options.inFlight.map((inFlight) => ({ payloadBytes, inFlight })),
  );
  const rounds = new Map<string, Measured[]>();
  const total = options.rounds * settings.length * pairs.length;
  let done = 0;
  for (let round = 0; round < options.rounds; round++) {
    for (const setting of settings) {
      for (const pair of pairs) {
        progress(`${++done} of ${total}: ${pair.kind}, ${setting.inFlight} in flight`);
        const { warmUpMs, durationMs } = options;
        const measured = await pair.measure({ ...setting, warmUpMs, durationMs });
        const key = cellKey(pair.kind, setting.payloadBytes, setting.inFlight);
        rounds.set(key, [...(rounds.get(key) ?? []), measured]);
      }
    }
  }
  progress("");
  for (const pair of pairs) pair.stop();
  return settings.flatMap((setting) =>
    options.only.map((kind) => {
      const all = rounds.get(cellKey(kind, setting.payloadBytes, setting.inFlight)) ?? [];
      return { kind, ...setting, ...medians(all) };
    }),
  );
}

function cellKey(kind: Kind, payloadBytes: number, inFlight: number): string {
  return `${kind}/${payloadBytes}/${inFlight}`;
}

function medians(all: readonly Measured[]): Measured {
  const of = (name: keyof Measured): number => median(all.map((measured) => measured[name]));
  return {
    callsPerSecond: of("callsPerSecond"),
    p50Us: of("p50Us"),
    p99Us: of("p99Us"),
    cpuUsPerCall: of("cpuUsPerCall"),
    serverCpuUsPerCall: of("serverCpuUsPerCall"),
    calls: of("calls"),
  };
}

function progress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\u001B[K${text}`);
  else if (text !== "") process.stderr.write(`${text}\n`);
}

const options = readOptions();
const cells = options.layers ? [] : await measureAll(options);
if (cells.length > 0) console.log(formatTable(cells));
const layers = measureLayers(options.payloadBytes, options.durationMs / 2);
console.log(formatLayers(layers));
writeFileSync(
  options.json,
  `${JSON.stringify({ node: process.version, cells, layers }, null, 2)}\n`,
);
