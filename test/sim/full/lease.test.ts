import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { calmNetwork } from "../network.js";
import { FullCluster } from "./fullCluster.js";
import { calmDisk, tightBoundPpm } from "./fullTuning.js";

/*
 * Reads under leases (thesis §6.4.1). Leaders are cut off from their followers while some clients
 * stay with them, for longer than it takes the others to elect another one; and clocks run at paces
 * that lie far apart. A leader that trusts its clock too long serves those clients old values.
 */

const driftMax = 0.8;
/** Those before show nothing. */
const firstSeed = 3;
const seedsMax = 20;
const timeoutMs = 120_000;
const drawTo = join(tmpdir(), `lease-test-${process.pid}`);

async function verdict(seed: number, leaseClockDriftPpmMax: number): Promise<string> {
  const cluster = new FullCluster(seed, {
    drawTo,
    // What the clients saw is to tell, and nothing else.
    readsGoUnwatched: true,
    tuning: {
      nodes: 3,
      runMs: 15_000,
      raft: {
        readMode: "lease",
        leaseClockDriftPpmMax,
        electionTimeoutMsMin: 600,
        electionTimeoutMsMax: 650,
      },
      network: calmNetwork,
      disk: calmDisk,
      clockDriftMax: driftMax,
      turnMsMax: 0,
      minorityLostChance: 0,
      faults: {
        intervalMsMax: 3_000,
        durationMsMax: 4_000,
        stableMsMin: 500,
        kinds: ["isolate leader", "isolate leader", "clock drift"],
      },
      client: {
        clients: 8,
        thinkMsMax: 20,
        keys: 1,
        readChance: 0.9,
        appendChance: 0.5,
        valueBytesMax: 8,
        timeoutMs: 500,
      },
    },
  });
  try {
    await cluster.run();
    return "legal";
  } catch (error) {
    return (error as Error).message.split("\n")[0]!;
  } finally {
    await rm(drawTo, { recursive: true, force: true });
  }
}

test(
  "lease reads are linearizable where clocks keep to the bound, and caught where they don't",
  async () => {
    for (let seed = firstSeed; seed <= seedsMax; seed++) {
      const unbounded = await verdict(seed, 0);
      if (unbounded === "legal") continue;
      expect(unbounded).toContain("illegal history");
      expect(await verdict(seed, tightBoundPpm(driftMax))).toBe("legal");
      return;
    }
    expect.unreachable("no seed shows an old value");
  },
  timeoutMs,
);
