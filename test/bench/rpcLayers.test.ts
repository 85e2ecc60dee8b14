import { expect, test } from "vitest";
import { measureLayers } from "../../bench/rpc/layers.js";

test("every layer of a call can be measured alone", () => {
  const costs = measureLayers([64], 1);
  const whole = "server: read, find, decode, run, encode, frame";
  expect(costs.map(({ layer }) => layer)).toContain(whole);
  expect(costs.filter(({ ns }) => !(ns > 0))).toEqual([]);
});
