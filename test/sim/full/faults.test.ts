import { describe, expect, test } from "vitest";
import { faultKinds } from "./faults.js";
import { FullCluster } from "./fullCluster.js";

/* Each fault alone, on a network that does no harm: it strikes, and the cluster gets over it. */

const timeoutMs = 60_000;

describe("a cluster of whole servers survives", () => {
  test.each(faultKinds)(
    "%s",
    async (kind) => {
      const cluster = new FullCluster(1, {
        tuning: {
          nodes: 3,
          runMs: 8_000,
          raft: {},
          clockDriftMax: 0.1,
          faults: { intervalMsMax: 1_500, durationMsMax: 500, stableMsMin: 300, kinds: [kind] },
        },
      });
      const { faults, committed } = await cluster.run();
      expect(faults[kind]).toBeGreaterThan(3);
      expect(committed).toBeGreaterThan(10);
    },
    timeoutMs,
  );
});
