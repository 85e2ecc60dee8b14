import { expect, test } from "vitest";
import { WaitApplyCh } from "../../kvserver/waitApplyCh.js";

/** A channel, and what its waiters were told, in order. */
function watched(): {
  readonly channel: WaitApplyCh<string>;
  readonly told: string[];
  wait(index: number, term: number): void;
} {
  const channel = new WaitApplyCh<string>();
  const told: string[] = [];
  return {
    channel,
    told,
    wait: (index, term) =>
      channel.add(index, {
        term,
        applied: (result) => told.push(`${index} ${result}`),
        lost: () => told.push(`${index} lost`),
      }),
  };
}

test("who waits for an entry gets its result, once", () => {
  const { channel, told, wait } = watched();
  wait(5, 2);
  wait(6, 2);
  channel.applied(5, 2, "five");
  channel.applied(6, 2, "six");
  channel.applied(6, 2, "again");
  expect(told).toEqual(["5 five", "6 six"]);
});

test("another leader's entry at its index is not its own", () => {
  const { channel, told, wait } = watched();
  wait(5, 2);
  channel.applied(5, 3, "another's");
  expect(told).toEqual(["5 lost"]);
});

test("what a snapshot passed over is lost: nobody knows what became of it", () => {
  const { channel, told, wait } = watched();
  wait(5, 2);
  wait(6, 2);
  wait(9, 2);
  channel.applied(9, 2, "nine");
  expect(told).toEqual(["5 lost", "6 lost", "9 nine"]);
});

test("entries that nobody waits for pass, before and behind those that somebody does", () => {
  const { channel, told, wait } = watched();
  channel.applied(1, 1, "one");
  wait(7, 1);
  channel.applied(2, 1, "two");
  channel.applied(7, 1, "seven");
  channel.applied(8, 1, "eight");
  expect(told).toEqual(["7 seven"]);
});

test("with the lead all are lost, and new ones may wait at the same places", () => {
  const { channel, told, wait } = watched();
  wait(5, 2);
  wait(6, 2);
  channel.loseAll();
  wait(5, 4);
  channel.applied(5, 4, "anew");
  expect(told).toEqual(["5 lost", "6 lost", "5 anew"]);
});

test("thousands may wait", () => {
  const { channel, told, wait } = watched();
  const waiters = 5_000;
  for (let index = 1; index <= waiters; index++) wait(index, 1);
  for (let index = 1; index <= waiters; index++) channel.applied(index, 1, "done");
  expect(told).toEqual(Array.from({ length: waiters }, (_, at) => `${at + 1} done`));
});
