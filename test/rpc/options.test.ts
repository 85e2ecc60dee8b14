import { describe, expect, test } from "vitest";
import { rpcDefaults, type RpcOptions } from "../../config/options.js";
import { MprpcChannel, RpcProvider } from "../../rpc/index.js";
import { rpcOptionsOf } from "../../rpc/checkOptions.js";

const names = Object.keys(rpcDefaults) as (keyof RpcOptions)[];

function channel(options: Partial<RpcOptions>): MprpcChannel {
  return new MprpcChannel({ host: "127.0.0.1", port: 1, ...options });
}

describe("options", () => {
  test.each(names)("%s that is no number within its range is refused, by name", (name) => {
    for (const value of [Number.NaN, -1, -Infinity, "7" as never, null as never]) {
      expect(() => rpcOptionsOf({ [name]: value })).toThrow(RangeError);
      expect(() => channel({ [name]: value })).toThrow(
        new RegExp(`^${name} is ${value}; it must be a (whole )?number from [01] to \\w+$`),
      );
      expect(() => new RpcProvider({ [name]: value })).toThrow(RangeError);
    }
  });

  // Node's timers take a longer wait for 1 ms.
  test.each(names.filter((name) => name.includes("Ms") && name !== "callTimeoutMs"))(
    "%s beyond what a timer can hold is refused",
    (name) => {
      const most = { backoffMsMax: 2 ** 31 - 1, [name]: 2 ** 31 - 1 };
      expect(rpcOptionsOf(most)).toMatchObject(most);
      for (const value of [2 ** 31, Infinity]) {
        expect(() => rpcOptionsOf({ [name]: value })).toThrow(name);
      }
    },
  );

  test("sizes and counts are whole numbers, a wait may be a fraction or no end", () => {
    for (const name of names.filter((one) => !one.includes("Ms"))) {
      expect(() => rpcOptionsOf({ [name]: 1000.5 })).toThrow(
        `${name} is 1000.5; it must be a whole`,
      );
    }
    expect(rpcOptionsOf({ frameTimeoutMs: 1.5 }).frameTimeoutMs).toBe(1.5);
    expect(rpcOptionsOf({ callTimeoutMs: Infinity }).callTimeoutMs).toBe(Infinity);
  });

  test("a least backoff above the most is refused", () => {
    expect(() => rpcOptionsOf({ backoffMsMin: 20, backoffMsMax: 10 })).toThrow(
      "backoffMsMin (20) is more than backoffMsMax (10)",
    );
  });

  test("what is undefined is the default", () => {
    expect(rpcOptionsOf({ callTimeoutMs: undefined as never })).toEqual(rpcDefaults);
    expect(rpcOptionsOf({})).toEqual(rpcDefaults);
  });
});
