import { expect, test } from "vitest";
import { kvDefaults } from "../../config/options.js";
import { snapshotIsDue } from "../../kvserver/snapshotPolicy.js";

const options = { ...kvDefaults, snapshotLogBytes: 1_000 };

test("a snapshot is due after so much log", () => {
  expect(snapshotIsDue(999, 0, options)).toBe(false);
  expect(snapshotIsDue(1_000, 0, options)).toBe(true);
  expect(snapshotIsDue(1_000, 2_000, options)).toBe(true);
});

test("and after half of a large state", () => {
  expect(snapshotIsDue(1_000, 1_000_000, options)).toBe(false);
  expect(snapshotIsDue(499_999, 1_000_000, options)).toBe(false);
  expect(snapshotIsDue(500_000, 1_000_000, options)).toBe(true);
});

test("never when that was asked for", () => {
  expect(snapshotIsDue(Number.MAX_SAFE_INTEGER, 0, { ...options, snapshotLogBytes: -1 })).toBe(
    false,
  );
});
