import { readFile } from "node:fs/promises";
import { layerOf, type Layer } from "./layers.js";

/** What is used of the file that `node --cpu-prof` writes. Times are in us of the monotonic clock. */
interface CpuProfile {
  readonly nodes: readonly {
    readonly id: number;
    readonly callFrame: { readonly functionName: string; readonly url: string };
    readonly children?: readonly number[];
  }[];
  readonly startTime: number;
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
}

export interface LayerTimes {
  /** In us. */
  readonly busy: ReadonlyMap<Layer, number>;
  readonly idleUs: number;
}

/** Where a process spent the time between two moments of the monotonic clock, in us. */
export async function layerTimes(file: string, fromUs: number, toUs: number): Promise<LayerTimes> {
  const profile = JSON.parse(await readFile(file, "utf8")) as CpuProfile;
  const layerOfNode = layersByNode(profile);
  const busy = new Map<Layer, number>();
  let idleUs = 0;
  let now = profile.startTime;
  profile.samples.forEach((id, i) => {
    const took = profile.timeDeltas[i]!;
    now += took;
    if (now < fromUs || now > toUs) return;
    const layer = layerOfNode.get(id)!;
    if (layer === "idle") idleUs += took;
    else busy.set(layer, (busy.get(layer) ?? 0) + took);
  });
  return { busy, idleUs };
}

function layersByNode({ nodes }: CpuProfile): Map<number, Layer | "idle"> {
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const found = new Map<number, Layer | "idle">();
  const visit = (id: number, above: Layer): void => {
    const { callFrame, children } = byId.get(id)!;
    const { functionName, url } = callFrame;
    const layer = layerOf(functionName, url) ?? above;
    found.set(id, functionName === "(idle)" ? "idle" : layer);
    for (const child of children ?? []) visit(child, layer);
  };
  visit(nodes[0]!.id, "other");
  return found;
}
