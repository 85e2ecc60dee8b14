import { afterEach, expect, test } from "vitest";
import { rpcLimits } from "../../config/options.js";
import { Keepalive, type KeepaliveOwner } from "../../rpc/keepalive.js";
import { until } from "./support.js";

const keepalives: Keepalive[] = [];

afterEach(() => {
  for (const keepalive of keepalives.splice(0)) keepalive.stop();
});

/** Counts turns of the event loop until it is stopped. */
function countTurns(): { now: number; stop: () => void } {
  const turns = { now: 0, stop: () => {} };
  const next = (): void => {
    turns.now++;
    const immediate = setImmediate(next);
    turns.stop = () => clearImmediate(immediate);
  };
  next();
  return turns;
}

test("connections that fall silent together are pinged a few in a turn of the event loop", async () => {
  const { pacedTasksPerTurn } = rpcLimits;
  const count = 10 * pacedTasksPerTurn;
  const pingsOf = new Map<number, number>();
  const pinged = new Set<KeepaliveOwner>();
  const turns = countTurns();
  for (let i = 0; i < count; i++) {
    const owner: KeepaliveOwner = {
      canPing: true,
      canJudge: true,
      ping: () => {
        pinged.add(owner);
        pingsOf.set(turns.now, (pingsOf.get(turns.now) ?? 0) + 1);
      },
      onDead: () => {},
    };
    const keepalive = new Keepalive(owner, 20, 60_000);
    keepalives.push(keepalive);
    keepalive.start();
  }
  await until(() => pinged.size === count, "each is pinged");
  turns.stop();
  expect(Math.max(...pingsOf.values())).toBeLessThanOrEqual(2 * pacedTasksPerTurn);
});
