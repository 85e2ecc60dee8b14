import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Call } from "../../clerk/call.js";
import { Schedule } from "../../clerk/schedule.js";
import { VirtualClock } from "./virtualClock.js";

const noBytes = new Uint8Array(0);

function callUntil(deadline: number): Call {
  return new Call("get", noBytes, noBytes, deadline, { resolve: () => {}, reject: () => {} });
}

/** What to do with one call: when it is due, when it is to wake instead, whether it leaves. */
const planArbitrary = fc.record({
  deadline: fc.nat(1_000),
  wakeAt: fc.option(fc.nat(1_500)),
  awake: fc.boolean(),
  leaves: fc.boolean(),
  /** When all this happens to it, among the others. */
  turn: fc.nat(),
});

describe("Schedule", () => {
  it("rings for each call that stays when it is due, in that order, and for no other", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(planArbitrary, { maxLength: 80, size: "max" }), async (plans) => {
        const clock = new VirtualClock();
        const rung: { due: number; at: number }[] = [];
        const schedule: Schedule = new Schedule(clock, (call, now) => {
          rung.push({ due: call.dueAt, at: now });
          schedule.remove(call);
        });
        const calls = plans.map((plan) => ({ plan, call: callUntil(plan.deadline) }));
        for (const { call } of calls) schedule.add(call);
        const expected: number[] = [];
        calls.sort((a, b) => a.plan.turn - b.plan.turn);
        for (const { plan, call } of calls) {
          if (plan.wakeAt !== null) schedule.wakeAt(call, plan.wakeAt);
          if (plan.awake) schedule.awake(call);
          if (plan.leaves) schedule.remove(call);
          const wake = plan.awake ? Infinity : (plan.wakeAt ?? Infinity);
          if (!plan.leaves) expected.push(Math.min(plan.deadline, wake));
        }
        await clock.advance(2_000);
        expect(rung.map(({ due }) => due)).toEqual(expected.sort((a, b) => a - b));
        // A timer counts whole milliseconds, and at least one.
        expect(rung.filter(({ due, at }) => at < due || at > Math.max(due, 1))).toEqual([]);
        expect(schedule.first).toBeUndefined();
      }),
      { numRuns: 100 },
    );
  });

  it("has no timer for a call without a deadline, nor after it was stopped", () => {
    const clock = new VirtualClock();
    const schedule = new Schedule(clock, () => {});
    schedule.add(callUntil(Infinity));
    expect(clock.timerCount).toBe(0);
    schedule.add(callUntil(10));
    schedule.add(callUntil(5));
    expect(clock.timerCount).toBe(1);
    schedule.stop();
    expect(clock.timerCount).toBe(0);
  });

  it("splits a wait that is longer than a timer can be", async () => {
    const clock = new VirtualClock();
    const rung: number[] = [];
    const schedule: Schedule = new Schedule(clock, (call, now) => {
      rung.push(now);
      schedule.remove(call);
    });
    schedule.add(callUntil(2 ** 32));
    await clock.advance(2 ** 33);
    expect(rung).toEqual([2 ** 32]);
  });
});
