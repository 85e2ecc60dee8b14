import { expect, test } from "vitest";
import { connectionsThatFit, openFilesMax } from "../../kvserver/openFiles.js";

test("what is wanted, as long as files for the node itself are left", () => {
  expect(connectionsThatFit(1_000, Infinity)).toBe(1_000);
  expect(connectionsThatFit(1_000, 1_256)).toBe(1_000);
  expect(connectionsThatFit(1_000, 1_255)).toBe(999);
});

test("half of a low limit", () => {
  expect(connectionsThatFit(1_000, 256)).toBe(128);
  expect(connectionsThatFit(1_000, 1)).toBe(1);
});

test("the limit is this process's own", () => {
  expect(openFilesMax()).toBeGreaterThan(64);
});
