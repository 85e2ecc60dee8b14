import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { FrameWatch } from "../../rpc/frameWatch.js";

const timeoutMs = 100;
const reader = { framesRead: 0, midFrame: true, paused: false };
let stuck = 0;
let watch: FrameWatch;

beforeEach(() => {
  vi.useFakeTimers();
  Object.assign(reader, { framesRead: 0, midFrame: true, paused: false });
  stuck = 0;
  watch = new FrameWatch(reader, timeoutMs, () => stuck++);
  watch.onChunk();
});
afterEach(() => {
  watch.stop();
  vi.useRealTimers();
});

test("a frame that stays in pieces is told of, once, whatever still trickles", () => {
  for (let ms = 0; ms < timeoutMs - 1; ms++) {
    vi.advanceTimersByTime(1);
    watch.onChunk();
  }
  expect(stuck).toBe(0);
  vi.advanceTimersByTime(1_000);
  expect(stuck).toBe(1);
});

test("a process that was stopped for long takes that for one look, and reads before the next", () => {
  // However late a timer fires after a stop, it fires once.
  vi.advanceTimersToNextTimer();
  expect(stuck).toBe(0);
  Object.assign(reader, { framesRead: 1, midFrame: false });
  vi.advanceTimersByTime(1_000);
  expect(stuck).toBe(0);
  expect(vi.getTimerCount()).toBe(0);
});

test("frames that become whole, and pauses of our own, begin the time anew", () => {
  for (let round = 0; round < 20; round++) {
    vi.advanceTimersByTime(timeoutMs * 0.75);
    reader.framesRead++;
  }
  reader.paused = true;
  vi.advanceTimersByTime(10 * timeoutMs);
  reader.paused = false;
  expect(stuck).toBe(0);
  vi.advanceTimersByTime(2 * timeoutMs);
  expect(stuck).toBe(1);
});

test("stopped: no timer is left", () => {
  watch.stop();
  expect(vi.getTimerCount()).toBe(0);
});
