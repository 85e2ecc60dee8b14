import { expect, test } from "vitest";
import { kvDefaults } from "../../config/options.js";
import { snapshotIsDue, type LogSince } from "../../kvserver/snapshotPolicy.js";

const options = { ...kvDefaults, snapshotLogBytes: 1_000 };

/** A log of entries of a few bytes each. */
function small(bytes: number): LogSince {
  return { bytes, entries: bytes / 10 };
}

test("a snapshot is due after so much log", () => {
  expect(snapshotIsDue(small(999), 0, options)).toBe(false);
  expect(snapshotIsDue(small(1_000), 0, options)).toBe(true);
  expect(snapshotIsDue(small(1_000), 2_000, options)).toBe(true);
});

test("and after half of a large state", () => {
  expect(snapshotIsDue(small(1_000), 1_000_000, options)).toBe(false);
  expect(snapshotIsDue(small(499_999), 1_000_000, options)).toBe(false);
  expect(snapshotIsDue(small(500_000), 1_000_000, options)).toBe(true);
});

test("never when that was asked for", () => {
  expect(
    snapshotIsDue(small(Number.MAX_SAFE_INTEGER), 0, { ...options, snapshotLogBytes: -1 }),
  ).toBe(false);
});

test("with large values after twice the state, within bounds", () => {
  const MiB = 1024 * 1024;
  const due = (logMiB: number, stateMiB: number): boolean =>
    snapshotIsDue({ bytes: logMiB * MiB, entries: logMiB }, stateMiB * MiB, kvDefaults);
  expect(due(15, 0)).toBe(false);
  expect(due(16, 8)).toBe(true);
  expect(due(127, 64)).toBe(false);
  expect(due(128, 64)).toBe(true);
  // What the log may hold in memory.
  expect(due(255, 500)).toBe(false);
  expect(due(256, 500)).toBe(true);
  // Half of the state.
  expect(due(999, 2_000)).toBe(false);
  expect(due(1_000, 2_000)).toBe(true);
});

test("what makes values large is their replay's time", () => {
  const state = 100_000_000;
  const log = 60_000_000;
  expect(snapshotIsDue({ bytes: log, entries: log / 32_000 }, state, options)).toBe(true);
  expect(snapshotIsDue({ bytes: log, entries: log / 33_000 }, state, options)).toBe(false);
});
