/** `mprpc-data list`: what a data directory holds, in short. */
import path from "node:path";
import type { Inspection, LogReport, SegmentReport } from "../../raft/persister/inspection.js";
import { exitCodes } from "../exitCodes.js";
import { describeDamage, formatDamage, type Damage } from "./damage.js";
import { holding, inspect } from "./directory.js";
import type { DataWorld } from "./world.js";

/** Resolves to the exit code. */
export async function list(directory: string, json: boolean, world: DataWorld): Promise<number> {
  const inspection = await holding(world, directory, () =>
    inspect(world.fs, directory, { readsSnapshots: false }),
  );
  const damages = inspection.damages.map((error) =>
    describeDamage(error, inspection.start !== null),
  );
  await world.writeOut(json ? asJson(inspection, damages) : asText(inspection, damages));
  return damages.length === 0 ? 0 : exitCodes.damaged;
}

function asText(inspection: Inspection, damages: readonly Damage[]): string {
  const { directory, identity, segments, snapshots, logs, torn } = inspection;
  const rows: [string, string][] = [["directory", directory]];
  if (identity !== null) {
    rows.push(["node", String(identity.nodeId)], ["storage id", hex(identity.storageId)]);
    if (!identity.initialised) rows.push(["log", "not begun: nothing was ever acknowledged"]);
  }
  for (const log of logs) rows.push(...logRows(log));
  for (const segment of segments) rows.push(["segment", segmentLine(segment)]);
  for (const { meta, file, size, isWhole } of snapshots) {
    const bytes = size === null ? "unreadable" : `${size} bytes of state`;
    const whole = isWhole ? "" : ", damaged";
    const place = `up to entry ${meta.index} (term ${meta.term})`;
    rows.push(["snapshot", `${path.basename(file)}  ${place}, ${bytes}${whole}`]);
  }
  if (torn !== null) {
    const place = `${path.basename(torn.file)} at byte ${torn.offset}`;
    const what = "an unfinished last write, never acknowledged; the node cuts it when it starts";
    rows.push(["torn", `${place}, ${torn.bytes} bytes: ${what}`]);
  }
  const text = rows.map(([name, value]) => `${name.padEnd(11)} ${value}\n`).join("");
  return text + damages.map(formatDamage).join("");
}

function logRows({ hardState, last, entries }: LogReport): [string, string][] {
  const { term, votedFor, joining } = hardState;
  const vote = votedFor === -1 ? "nobody" : `node ${votedFor}`;
  const first = entries[0];
  const range =
    first === undefined
      ? `empty, goes on after ${last.index} (term ${last.term})`
      : `entries ${first.index} (term ${first.term}) to ${last.index} (term ${last.term})`;
  return [
    ["term", `${term}, voted for ${vote}`],
    ["flags", joining === true ? "joining: it does not vote yet" : "none"],
    ["log", range],
  ];
}

function segmentLine({ file, fileBytes, end, ...segment }: SegmentReport): string {
  const { firstIndex, lastIndex, sealed, marked } = segment;
  const entries = lastIndex === 0 ? "no entries" : `entries ${firstIndex} to ${lastIndex}`;
  const notes = [entries, sealed ? "sealed" : "open"];
  if (marked > 0) notes.push(`known to be synced up to byte ${marked}`);
  return `${path.basename(file)}  ${end} of ${fileBytes} bytes used, ${notes.join(", ")}`;
}

function asJson(inspection: Inspection, damages: readonly Damage[]): string {
  const { directory, identity, segments, snapshots, logs, torn, start } = inspection;
  const report = {
    directory,
    identity: identity === null ? null : { ...identity, storageId: hex(identity.storageId) },
    logs: logs.map(({ hardState, last, entries }) => ({
      term: hardState.term,
      votedFor: hardState.votedFor,
      joining: hardState.joining === true,
      first: entries[0] === undefined ? null : { index: entries[0].index, term: entries[0].term },
      last,
    })),
    segments,
    snapshots: snapshots.map(({ meta, ...snapshot }) => ({ ...meta, ...snapshot })),
    torn,
    damages,
    startable: start !== null,
  };
  return `${JSON.stringify(report, null, 2)}\n`;
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}
