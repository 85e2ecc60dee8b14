/** Real processes whose data directories are gone or damaged. */
import { readdir, readFile, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { afterEach, expect, test } from "vitest";
import { Clerk } from "../../clerk/index.js";
import { eventually } from "../eventually.js";
import { Cluster } from "./cluster.js";

let cluster: Cluster;
let clerk: Clerk;

afterEach(async () => {
  await clerk.close();
  await cluster.destroy();
});

async function start(): Promise<number> {
  cluster = await Cluster.create(3);
  cluster.startAll();
  clerk = new Clerk(cluster.nodes, { timeoutMs: 20_000 });
  for (let i = 0; i < 20; i++) await clerk.put(`key${i}`, `${i}`);
  return ((await leader()) + 1) % 3;
}

async function leader(): Promise<number> {
  const id = await eventually("a leader", async () => {
    const states = await clerk.status({ timeoutMs: 500 });
    const found = states.find(({ status }) => status?.Role === "leader");
    return found === undefined ? false : found.id + 1;
  });
  return id - 1;
}

const directoryOf = (id: number): string => path.join(cluster.dir, "data", `node${id}`);

async function votesAgain(id: number): Promise<void> {
  await eventually("the node to vote", async () =>
    cluster.processes.get(id)!.output.includes("node votes from now on"),
  );
}

async function expectAllWithout(other: number): Promise<void> {
  await cluster.stop(other, "SIGKILL");
  await clerk.put("after", "1");
  for (let i = 0; i < 20; i++) expect(await clerk.getString(`key${i}`)).toBe(`${i}`);
}

test("a node without its data gets all of it back before it votes", async () => {
  const id = await start();
  await cluster.stop(id, "SIGKILL");
  await rm(directoryOf(id), { recursive: true });
  // With one more away, what the two that are left hold is not known to be all: neither may lead.
  const other = (id + 1) % 3;
  await cluster.stop(other, "SIGKILL");
  cluster.start(id);
  await eventually("it to ask", async () =>
    cluster.processes.get(id)!.output.includes("it asks all others"),
  );
  const tooEarly = clerk.put("too early", "1", { timeoutMs: 1_500 });
  await expect(tooEarly).rejects.toBeInstanceOf(Error);
  cluster.start(other);
  await votesAgain(id);
  await expectAllWithout(other);
});

test("a node with a damaged log refuses to start, and --rebuild brings it back", async () => {
  const id = await start();
  await cluster.stop(id, "SIGKILL");
  const directory = directoryOf(id);
  const segment = path.join(directory, "wal-0000000000000001.log");
  const bytes = await readFile(segment);
  bytes.writeUInt8(bytes.readUInt8(160) ^ 1, 160);
  await writeFile(segment, bytes);
  const refused = cluster.start(id);
  expect(await refused.exited).toMatchObject({ code: 65 });
  expect(refused.output).toMatch(/damaged.*wal-0000000000000001\.log at byte 128/s);
  expect(refused.output).toContain("--rebuild");
  cluster.start(id, ["--rebuild"]);
  await votesAgain(id);
  const names = await readdir(path.join(cluster.dir, "data"));
  expect(names.filter((name) => name.startsWith(`node${id}.broken-`))).toHaveLength(1);
  await expectAllWithout((id + 1) % 3);
});
