/** To which layer of the system a function belongs, by where its code lies. */

/** In the order in which a put meets them. */
export const layers = [
  "socket",
  "frame",
  "call",
  "codec",
  "service",
  "core",
  "driver",
  "log",
  "sync",
  "apply",
  "collector",
  "other",
] as const;

export type Layer = (typeof layers)[number];

/** The first that fits counts. Code of Node's own has `node:` addresses. */
const places: readonly (readonly [RegExp, Layer])[] = [
  [/^node:(fs|internal\/fs)/, "sync"],
  [/\/persister\/(nodeFs|writeFully)\.js$/, "sync"],
  [/^node:(net|internal\/(stream_base_commons|streams|net))/, "socket"],
  [/\/rpc\/(connection|turn|outputPool)\.js$/, "socket"],
  [/\/rpc\/(frame|framing|gatherer|byteWriter|varint|fieldScan)/, "frame"],
  [/\/(raftCodec|raftMethods|validate|opCodec|op|varint|checkArgs)\.js$/, "codec"],
  [/\/proto\/|\/protobufjs\/|\/rpc\/(codec|handCodec|messageReader)\.js$/, "codec"],
  [/\/rpc\//, "call"],
  [/\/raft\/core\//, "core"],
  [/\/raft\/persister\//, "log"],
  [/\/raft\//, "driver"],
  [/\/kvserver\/(kvServer|waitApplyCh|legacy\w+|heldRedirects|err|logClock)\.js$/, "service"],
  [/\/kvserver\//, "apply"],
];

/** Null for code without a place, such as a function that is built in: it works for its caller. */
export function layerOf(functionName: string, url: string): Layer | null {
  if (functionName === "(garbage collector)") return "collector";
  const found = places.find(([pattern]) => pattern.test(url));
  return found?.[1] ?? null;
}
