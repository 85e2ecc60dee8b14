import { describe, expect, test } from "vitest";
import { append, bytes, failed, get, put, unknown } from "./handMade.js";
import type { Operation } from "./index.js";
import { HistoryError, checkHistory } from "./index.js";

const on = (key: Uint8Array, operation: Operation): Operation => ({ ...operation, key });

interface Case {
  readonly name: string;
  readonly history: readonly Operation[];
}

const legal: readonly Case[] = [
  { name: "no operations", history: [] },
  { name: "one client", history: [put("A", "x", [0, 1]), get("A", "x", [2, 3])] },
  { name: "a get of a key never written", history: [get("A", null, [0, 1])] },
  {
    name: "gets beside a put see it or not",
    history: [put("A", "x", [0, 9]), get("B", null, [1, 2]), get("B", "x", [3, 4])],
  },
  {
    name: "a get called before the put sees it",
    history: [get("B", "x", [0, 9]), put("A", "x", [1, 2])],
  },
  {
    name: "concurrent appends in one order",
    history: [append("A", "a", [0, 5]), append("B", "b", [1, 4]), get("C", "ab", [6, 7])],
  },
  {
    name: "concurrent appends in the other order",
    history: [append("A", "a", [0, 5]), append("B", "b", [1, 4]), get("C", "ba", [6, 7])],
  },
  {
    name: "an append to a missing key",
    history: [append("A", "a", [0, 1]), get("A", "a", [2, 3])],
  },
  {
    name: "an empty value is a value",
    history: [get("A", null, [0, 1]), put("A", "", [2, 3]), get("A", "", [4, 5])],
  },
  {
    name: "appending nothing makes the key",
    history: [append("A", "", [0, 1]), get("A", "", [2, 3])],
  },
  {
    name: "an unknown put that happened",
    history: [unknown(put("A", "x", [0, 1])), get("B", "x", [2, 3])],
  },
  {
    name: "an unknown put that did not happen",
    history: [unknown(put("A", "x", [0, 1])), get("B", null, [2, 3])],
  },
  {
    name: "an unknown put that happened late",
    history: [
      unknown(put("A", "x", [0, 1])),
      get("B", null, [2, 3]),
      put("B", "y", [4, 5]),
      get("B", "y", [6, 7]),
      get("B", "x", [8, 9]),
    ],
  },
  {
    name: "an unknown append of a client that went on",
    history: [
      unknown(append("A", "1", [0, 1])),
      append("A", "2", [2, 3]),
      get("A", "2", [4, 5]),
      get("A", "21", [6, 7]),
    ],
  },
  {
    name: "a failed write is not seen",
    history: [failed(put("A", "x", [0, 1])), get("B", null, [2, 3])],
  },
  {
    name: "an unknown get says nothing",
    history: [unknown(get("A", "never", [0, 1])), put("B", "x", [2, 3])],
  },
  {
    name: "equal times count as concurrent",
    history: [put("A", "x", [0, 1]), get("B", null, [1, 2])],
  },
  {
    name: "the same value by different appends",
    history: [
      append("A", "ab", [0, 1]),
      get("B", "ab", [2, 3]),
      put("A", "", [4, 5]),
      append("A", "a", [6, 9]),
      append("B", "b", [7, 10]),
      get("C", "ab", [11, 12]),
    ],
  },
  {
    name: "an append that begins as another one does",
    history: [
      put("A", "x", [0, 1]),
      append("A", "a", [2, 3]),
      get("A", "xa", [4, 5]),
      put("A", "x", [6, 7]),
      append("A", "ab", [8, 9]),
      get("A", "xab", [10, 11]),
    ],
  },
];

const illegal: readonly Case[] = [
  {
    name: "stale read",
    history: [put("A", "x", [0, 1]), put("A", "y", [2, 3]), get("B", "x", [4, 5])],
  },
  {
    name: "lost update",
    history: [append("A", "a", [0, 3]), append("B", "b", [1, 2]), get("C", "b", [4, 5])],
  },
  {
    name: "lost put",
    history: [put("A", "x", [0, 1]), get("A", null, [2, 3])],
  },
  {
    name: "duplicated append",
    history: [append("A", "a", [0, 1]), get("A", "aa", [2, 3])],
  },
  {
    name: "an unknown append that happened twice",
    history: [unknown(append("A", "a", [0, 1])), get("B", "a", [2, 3]), get("B", "aa", [4, 5])],
  },
  {
    name: "a value never written",
    history: [put("A", "x", [0, 1]), get("B", "z", [0, 3])],
  },
  {
    name: "phantom: read before it was written",
    history: [get("B", "x", [0, 1]), put("A", "x", [2, 3])],
  },
  {
    name: "phantom: an unknown put seen before its call",
    history: [get("B", "x", [0, 1]), unknown(put("A", "x", [2, 3]))],
  },
  {
    name: "reads going back in time",
    history: [
      put("A", "x", [0, 1]),
      put("A", "y", [2, 9]),
      get("B", "y", [3, 4]),
      get("C", "x", [5, 6]),
    ],
  },
  {
    name: "two readers see two orders",
    history: [
      put("A", "x", [0, 1]),
      put("B", "y", [0, 1]),
      get("C", "x", [2, 3]),
      get("D", "y", [4, 5]),
    ],
  },
  {
    name: "appends against their order in time",
    history: [append("A", "a", [0, 1]), append("B", "b", [2, 3]), get("C", "ba", [4, 5])],
  },
  {
    name: "an empty value is not a missing key",
    history: [put("A", "", [0, 1]), get("A", null, [2, 3])],
  },
  {
    name: "a missing key is not an empty value",
    history: [get("A", "", [0, 1])],
  },
  {
    name: "an unknown put that un-happened",
    history: [unknown(put("A", "x", [0, 1])), get("B", "x", [2, 3]), get("B", null, [4, 5])],
  },
  {
    name: "a failed write that is seen",
    history: [failed(put("A", "x", [0, 1])), get("B", "x", [2, 3])],
  },
  {
    name: "a truncated value",
    history: [put("A", "xyz", [0, 1]), get("B", "xy", [2, 3])],
  },
];

describe("verdicts", () => {
  test.each(legal)("legal: $name", ({ history }) => {
    expect(checkHistory(history).verdict).toBe("legal");
    expect(checkHistory(history.toReversed()).verdict).toBe("legal");
  });

  test.each(illegal)("illegal: $name", ({ history }) => {
    expect(checkHistory(history).verdict).toBe("illegal");
    expect(checkHistory(history.toReversed()).verdict).toBe("illegal");
  });

  test("each key is judged alone, and the one at fault is named", () => {
    const other = bytes("other");
    const good = [put("A", "x", [0, 1]), get("B", "x", [2, 3])];
    const bad = [put("A", "y", [0, 1]), get("B", "x", [2, 3])].map((o) => on(other, o));
    expect(checkHistory([...good, ...good.map((operation) => on(other, operation))])).toMatchObject(
      {
        verdict: "legal",
        keys: 2,
        operations: 4,
      },
    );
    expect(checkHistory([...good, ...bad])).toMatchObject({
      verdict: "illegal",
      key: other,
      operations: bad,
    });
  });

  test("keys are bytes: those that are no text are told apart", () => {
    const history = [
      on(Uint8Array.of(0x80), put("A", "x", [0, 1])),
      on(Uint8Array.of(0x81), get("A", null, [2, 3])),
    ];
    expect(checkHistory(history)).toMatchObject({ verdict: "legal", keys: 2 });
  });

  test("the longest order and the answer without a place are named", () => {
    const first = put("A", "x", [0, 1]);
    const second = put("A", "y", [2, 3]);
    const stale = get("B", "x", [4, 5]);
    expect(checkHistory([first, second, stale])).toMatchObject({
      verdict: "illegal",
      linearized: [first, second],
      value: bytes("y"),
      unexplained: stale,
    });
  });

  test.each([
    { callTime: 2, returnTime: 1 },
    { callTime: Number.NaN, returnTime: 1 },
    { callTime: 0, returnTime: Infinity },
  ])("times that make no sense are refused: %o", (times) => {
    const operation: Operation = { ...put("A", "x", [0, 1]), ...times };
    expect(() => checkHistory([operation])).toThrow(HistoryError);
  });
});
