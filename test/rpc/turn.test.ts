import { afterEach, describe, expect, test, vi } from "vitest";
import { rpcLimits } from "../../config/options.js";
import { Turn } from "../../rpc/index.js";

afterEach(() => {
  vi.restoreAllMocks();
});

const nextTurn = () => new Promise((resolve) => setImmediate(resolve));

describe("Turn", () => {
  test("nothing runs at once; work comes before flushes, and its work and flushes with it", async () => {
    const turn = new Turn();
    const ran: string[] = [];
    turn.flush(() => ran.push("flush 1"));
    turn.work(() => {
      ran.push("work 1");
      turn.work(() => {
        ran.push("work of work");
        turn.flush(() => ran.push("flush 2"));
      });
    });
    turn.work(() => ran.push("work 2"));
    expect(ran).toEqual([]);
    await nextTurn();
    expect(ran).toEqual(["work 1", "work 2", "work of work", "flush 1", "flush 2"]);
  });

  test("what a flush brings about runs in the next turn", async () => {
    const turn = new Turn();
    const ran: string[] = [];
    turn.flush(() => {
      turn.work(() => ran.push("work"));
      ran.push("flush");
    });
    await nextTurn();
    expect(ran).toEqual(["flush"]);
    await nextTurn();
    expect(ran).toEqual(["flush", "work"]);
  });

  test("late tasks come after the flushes, and what they bring about in the same turn", async () => {
    const turn = new Turn();
    const ran: string[] = [];
    turn.late(() => {
      ran.push("late");
      turn.work(() => {
        ran.push("work 2");
        turn.flush(() => ran.push("flush 2"));
        turn.late(() => ran.push("late 2"));
      });
    });
    turn.work(() => ran.push("work 1"));
    turn.flush(() => ran.push("flush 1"));
    await nextTurn();
    expect(ran).toEqual(["work 1", "flush 1", "late", "work 2", "flush 2"]);
    await nextTurn();
    expect(ran.at(-1)).toBe("late 2");
  });

  test("a task that throws loses no other, and its error is not lost either", async () => {
    const later: (() => void)[] = [];
    vi.spyOn(globalThis, "queueMicrotask").mockImplementation((task) => void later.push(task));
    const turn = new Turn();
    const ran: string[] = [];
    turn.work(() => {
      throw new Error("broken");
    });
    turn.work(() => ran.push("work"));
    turn.flush(() => ran.push("flush"));
    await nextTurn();
    expect(ran).toEqual(["work", "flush"]);
    expect(later).toHaveLength(1);
    expect(later[0]).toThrow("broken");
  });

  test("work that never ends leaves time for the sockets, and the flushes their turn", async () => {
    const turn = new Turn();
    let ran = 0;
    let stop = false;
    const forever = (): void => {
      ran++;
      if (!stop) turn.work(forever);
    };
    turn.work(forever);
    let flushed = false;
    turn.flush(() => {
      flushed = true;
    });
    await nextTurn();
    expect(ran).toBe(rpcLimits.turnTasksMax);
    expect(flushed).toBe(true);
    stop = true;
    await nextTurn();
    expect(ran).toBe(rpcLimits.turnTasksMax + 1);
  });
});

test("a flush that waits for nothing runs before the end of the turn", async () => {
  const turn = new Turn();
  const order: string[] = [];
  turn.flush(() => order.push("end of turn"));
  turn.flushSoon(() => order.push("soon"));
  await Promise.resolve().then(() => order.push("promise"));
  await new Promise((resolve) => setImmediate(resolve));
  expect(order.indexOf("soon")).toBeLessThan(order.indexOf("end of turn"));
});

test("within the end of a turn it is a flush like any other, before what may hold up the loop", async () => {
  const turn = new Turn();
  const order: string[] = [];
  turn.late(() => order.push("late"));
  turn.work(() => turn.flushSoon(() => order.push("flush")));
  await new Promise((resolve) => setImmediate(resolve));
  expect(order).toEqual(["flush", "late"]);
});
