import { Clerk, type ClerkSettings } from "../../clerk/clerk.js";
import { ClerkError } from "../../clerk/errors.js";
import { FakeNode } from "./fakeNode.js";
import { VirtualClock } from "./virtualClock.js";

export interface Harness {
  readonly clock: VirtualClock;
  readonly nodes: readonly FakeNode[];
  readonly clerk: Clerk;
}

/** A Clerk on `nodeCount` fake nodes and virtual time. */
export function harness(nodeCount: number, settings: ClerkSettings = {}, seed = 1): Harness {
  const clock = new VirtualClock(seed);
  const nodes = Array.from({ length: nodeCount }, (_, id) => new FakeNode(clock, `node:${id + 1}`));
  const addresses = nodes.map((_, id) => ({ host: "node", port: id + 1 }));
  const clerk = new Clerk(addresses, {
    connect: (address) => nodes[address.port - 1]!,
    environment: clock,
    ...settings,
  });
  return { clock, nodes, clerk };
}

/** As `harness`, with nodes that have shown that they speak revision 2. */
export function knownHarness(nodeCount: number, settings: ClerkSettings = {}): Harness {
  const made = harness(nodeCount, settings);
  for (const node of made.nodes) node.revision = 2;
  return made;
}

/** Opens the session, so that a test begins with the first PutAppend; node 0 leads. */
export async function openedHarness(
  nodeCount: number,
  settings: ClerkSettings = {},
): Promise<Harness> {
  const made = knownHarness(nodeCount, settings);
  const first = made.clerk.put("warm", "up");
  made.nodes[0]!.only.reply("OK");
  made.nodes[0]!.only.reply("OK");
  await first;
  for (const node of made.nodes) node.requests.length = 0;
  return made;
}

/** The error that `promise` rejects with. */
export async function failureOf(promise: Promise<unknown>): Promise<ClerkError> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof ClerkError) return error;
    throw error;
  }
  throw new Error("it did not fail");
}
