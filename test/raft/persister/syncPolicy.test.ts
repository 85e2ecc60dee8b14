import { expect, test } from "vitest";
import { storageTuningDefaults } from "../../../config/options.js";
import { AdaptiveSync } from "../../../raft/persister/syncPolicy.js";

const { syncRetryBatches } = storageTuningDefaults;

/** Feeds batches of a kind; returns how many of them were waited for. */
function feed(policy: AdaptiveSync, batches: number, entries: number, ms: number): number {
  let waited = 0;
  for (let i = 0; i < batches; i++) {
    if (policy.waits(entries, entries * 300, false)) waited++;
    policy.observe(entries, ms);
  }
  return waited;
}

test("waits with one caller and a fast disk", () => {
  expect(feed(new AdaptiveSync(storageTuningDefaults), 1000, 1, 0.2)).toBe(1000);
});

test("does not wait with hundreds of callers, and learns when they go", () => {
  const policy = new AdaptiveSync(storageTuningDefaults);
  expect(feed(policy, 1000, 100, 0.2)).toBe(0);
  expect(feed(policy, 1000, 1, 0.2)).toBeGreaterThan(900);
});

test("does not wait for one large batch among small ones", () => {
  const policy = new AdaptiveSync(storageTuningDefaults);
  feed(policy, 100, 1, 0.2);
  expect(policy.waits(1, 1 << 20, false)).toBe(false);
  expect(policy.waits(1000, 3000, false)).toBe(false);
  expect(policy.waits(1, 300, false)).toBe(true);
});

test("does not wait behind what else is written, and goes on waiting after that", () => {
  const policy = new AdaptiveSync(storageTuningDefaults);
  feed(policy, 100, 1, 0.2);
  for (let i = 0; i < 100; i++) {
    expect(policy.waits(1, 300, true)).toBe(false);
    policy.observe(1, 50);
  }
  expect(feed(policy, 100, 1, 0.2)).toBe(100);
});

test("waits for a slow disk now and then, to see whether it still is slow", () => {
  const policy = new AdaptiveSync(storageTuningDefaults);
  const rounds = 10;
  const waited = feed(policy, rounds * syncRetryBatches, 1, 5);
  expect(waited).toBeGreaterThanOrEqual(rounds);
  expect(waited).toBeLessThan(rounds * 5);
  feed(policy, syncRetryBatches, 1, 0.2);
  expect(feed(policy, 100, 1, 0.2)).toBe(100);
});

test("goes on waiting after a single stall", () => {
  const policy = new AdaptiveSync(storageTuningDefaults);
  feed(policy, 100, 1, 0.3);
  feed(policy, 1, 1, 50);
  expect(feed(policy, 100, 1, 0.3)).toBe(100);
});
