/** The tool and a node that starts agree about every kind of damage. */
import { expect, test } from "vitest";
import { StorageError } from "../../../raft/persister/storageError.js";
import { WalPersister } from "../../../raft/persister/walPersister.js";
import { diskWith } from "../../raft/persister/proof/checkState.js";
import { damages } from "../../raft/persister/proof/damages.js";
import type { Files } from "../../raft/persister/proof/recordingDisk.js";
import { directory } from "../../raft/persister/support.js";
import { run, Store } from "./support.js";

/** Of so many damages one is tried: a prime, so that all bits of a byte have their turn. */
const stride = 907;

/** Three segments, of which a snapshot covers the first. */
async function scene(closed: boolean): Promise<Files> {
  const store = await Store.create();
  for (let i = 0; i < 4; i++) await store.put(`key${i}`, "v".repeat(900));
  await store.snapshot();
  await store.compact(5);
  for (let i = 0; i < 5; i++) await store.put(`key${i}`, "w".repeat(900));
  if (closed) await store.close();
  else store.disk.kill();
  return new Map(store.disk.paths().map((path) => [path, store.disk.contents(path)]));
}

/** Whether a node starts, or the code of its refusal. */
async function start(files: Files): Promise<string> {
  try {
    const options = { nodeId: 1, segmentBytes: 4096, fs: diskWith(files).mount() };
    await (await WalPersister.open(directory, options)).close();
    return "starts";
  } catch (error) {
    if (error instanceof StorageError) return error.code;
    throw error;
  }
}

interface Report {
  readonly good: boolean;
  readonly startable: boolean;
  readonly damages: readonly { readonly code: string; readonly file: string | null }[];
}

test.each([{ closed: true }, { closed: false }])("closed in order: $closed", async ({ closed }) => {
  const files = await scene(closed);
  const seen = new Set<string>();
  let met = 0;
  for (const { kind, what, files: changed } of damages(files)) {
    const isRare = kind === "file removed" || kind === "files swapped";
    if (met++ % stride !== 0 && !isRare) continue;
    const outcome = await start(changed);
    const { code, out } = await run(diskWith(changed), ["verify", directory, "--json"]);
    const report = JSON.parse(out) as Report;
    const agrees = report.startable === (outcome === "starts") && report.good === (code === 0);
    expect({ what, outcome, report, agrees }).toMatchObject({ agrees: true });
    const codes = new Set(["starts", ...report.damages.map((damage) => damage.code)]);
    expect({ what, named: codes.has(outcome) }).toEqual({ what, named: true });
    expect(report.damages.every(({ file }) => file !== null)).toBe(true);
    seen.add(outcome);
  }
  expect([...seen].sort()).toEqual(["DAMAGED", "FOREIGN", "MISSING", "starts"]);
});
