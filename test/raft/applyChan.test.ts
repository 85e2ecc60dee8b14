import { expect, test } from "vitest";
import { ApplyChan } from "../../raft/applyChan.js";
import type { ApplyMsg } from "../../raft/applyMsg.js";

function command(index: number): ApplyMsg {
  return {
    commandValid: true,
    snapshotValid: false,
    command: new Uint8Array(10),
    commandIndex: index,
    commandTerm: 1,
  };
}

function indexes(batch: readonly ApplyMsg[]): number[] {
  return batch.map((message) => (message.commandValid ? message.commandIndex : 0));
}

function newChan(applyEntriesMax = 100): ApplyChan {
  return new ApplyChan({ applyEntriesMax, applyBytesMax: 1 << 20 });
}

test("a consumer gets a batch before flush returns", async () => {
  const chan = newChan();
  const seen: number[][] = [];
  const ended = chan.consume((batch) => void seen.push(indexes(batch)));
  chan.push(command(1));
  chan.push(command(2));
  expect(seen).toEqual([]);
  chan.flush();
  expect(seen).toEqual([[1, 2]]);
  chan.close();
  await ended;
});

test("a consumer's promise holds back what follows", async () => {
  const chan = newChan();
  const seen: number[][] = [];
  let goOn: (() => void) | null = null;
  const ended = chan.consume((batch) => {
    seen.push(indexes(batch));
    return new Promise((resolve) => {
      goOn = resolve;
    });
  });
  for (const index of [1, 2, 3]) {
    chan.push(command(index));
    chan.flush();
  }
  expect(seen).toEqual([[1]]);
  goOn!();
  await expect.poll(() => seen).toEqual([[1], [2, 3]]);
  chan.close();
  goOn!();
  await ended;
});

test("a consumer that throws gets nothing more, and its error ends the channel", async () => {
  const chan = newChan();
  let calls = 0;
  const ended = chan.consume(() => {
    calls++;
    throw new Error("no such state");
  });
  chan.push(command(1));
  chan.flush();
  chan.push(command(2));
  chan.flush();
  await expect(ended).rejects.toThrow("no such state");
  expect(calls).toBe(1);
});

test("closing from within the consumer ends it", async () => {
  const chan = newChan();
  const ended = chan.consume(() => chan.close());
  chan.push(command(1));
  chan.flush();
  await ended;
  expect(chan.push(command(2))).toBe(false);
});

test("tells the producer when there is room again", async () => {
  const chan = newChan(2);
  let rooms = 0;
  chan.onRoom = () => rooms++;
  expect(chan.push(command(1))).toBe(true);
  expect(chan.push(command(2))).toBe(false);
  expect(indexes((await chan.popBatch())!)).toEqual([1, 2]);
  expect(rooms).toBe(1);
});
