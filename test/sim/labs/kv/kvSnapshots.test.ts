import { describe, expect, test } from "vitest";
import { steadyTuning } from "../../steadyTuning.js";
import { seedsOf } from "../seeds.js";
import { checkAppends, logBytesFactor } from "./appends.js";
import { electionMs, KvLab } from "./kvLab.js";

/* The KV lab of MIT 6.5840, part B: with snapshots. Each test has its name there. */

const snapshotLogBytes = 1_000;

describe.each(seedsOf(1))("seed %s", (seed) => {
  test("TestSnapshotRPC4B: a server that missed the log gets the snapshot", async () => {
    const lab = new KvLab(seed, { servers: 3, clients: 2, snapshotLogBytes });
    const [clerk, other] = lab.clients;
    await lab.play(async () => {
      await clerk!.put("a", "A");
      const [apart, ...both] = lab.servers;
      lab.split([apart!]);
      for (let at = 0; at < 50; at++) await clerk!.put(`${at}`, `${at}`);
      await lab.sleep(electionMs);
      await clerk!.put("b", "B");
      await lab.sleep(electionMs / 2);
      for (const { core, logBytes } of both) {
        expect(core!.log.firstIndex).toBeGreaterThan(apart!.core!.log.lastIndex + 1);
        expect(logBytes).toBeLessThan(logBytesFactor * snapshotLogBytes);
      }

      // The one that was apart and one of the two: what it lacks comes from nowhere else.
      const pair = [apart!, both[0]!];
      lab.split(pair);
      lab.confine(1, pair);
      await other!.put("c", "C");
      await other!.put("d", "D");
      expect(await other!.get("a")).toBe("A");
      expect(await other!.get("b")).toBe("B");
      for (const at of [1, 49]) expect(await other!.get(`${at}`)).toBe(`${at}`);
      expect(apart!.core!.log.firstIndex).toBeGreaterThan(2);

      lab.heal();
      await clerk!.put("e", "E");
      for (const key of ["c", "e"]) expect(await clerk!.get(key)).toBe(key.toUpperCase());
      expect(await clerk!.get("1")).toBe("1");
      await lab.allApplied();
    });
  });

  test("TestSnapshotSize4B: snapshots are as large as the state, not as the history", async () => {
    const lab = new KvLab(seed, { servers: 3, clients: 1, snapshotLogBytes });
    const [clerk] = lab.clients;
    await lab.play(async () => {
      for (let at = 0; at < 200; at++) {
        await clerk!.put("x", "0");
        expect(await clerk!.get("x")).toBe("0");
        await clerk!.put("x", "1");
        expect(await clerk!.get("x")).toBe("1");
      }
      await lab.sleep(electionMs);
      for (const { logBytes, snapshotBytes } of lab.servers) {
        expect(logBytes).toBeLessThan(logBytesFactor * snapshotLogBytes);
        expect(snapshotBytes).toBeGreaterThan(0);
        expect(snapshotBytes).toBeLessThan(500);
      }
    });
  });

  test("TestSpeed4B: snapshots do not slow a client down", async () => {
    const lab = new KvLab(seed, { servers: 3, clients: 1, snapshotLogBytes });
    const [clerk] = lab.clients;
    await lab.play(async () => {
      await clerk!.put("x", "");
      const startedAt = lab.cluster.clock.now;
      for (let done = 0; done < 200; done++) await clerk!.append("x", `${done};`);
      const spent = lab.cluster.clock.now - startedAt;
      expect(spent / 200).toBeLessThan(steadyTuning.node.heartbeatMs / 2);
    });
  });

  test("TestSnapshotRecover4B: one client, and all servers start from snapshots", async () => {
    const options = { seed, clients: 1, snapshotLogBytes, crashes: true };
    expect(await checkAppends(options)).toBeGreaterThan(0);
  });

  test("TestSnapshotRecoverManyClients4B: many clients", async () => {
    const options = { seed, clients: 10, snapshotLogBytes, crashes: true };
    expect(await checkAppends(options)).toBeGreaterThan(0);
  });

  test("TestSnapshotUnreliable4B: many clients, though a tenth of all is lost", async () => {
    const options = { seed, clients: 5, snapshotLogBytes, unreliable: true };
    expect(await checkAppends(options)).toBeGreaterThan(0);
  });

  test("TestSnapshotUnreliableRecover4B: and all servers crash", async () => {
    const options = { seed, clients: 5, snapshotLogBytes, unreliable: true, crashes: true };
    expect(await checkAppends(options)).toBeGreaterThan(0);
  });

  test("TestSnapshotUnreliableRecoverConcurrentPartition4B: under ever new partitions", async () => {
    const faults = { unreliable: true, crashes: true, partitions: true };
    expect(await checkAppends({ seed, clients: 5, snapshotLogBytes, ...faults })).toBeGreaterThan(
      0,
    );
  });

  test("TestSnapshotUnreliableRecoverConcurrentPartitionLinearizable4B: 7 servers, 15 clients", async () => {
    const faults = { unreliable: true, crashes: true, partitions: true };
    const options = { seed, servers: 7, clients: 15, snapshotLogBytes, randomKeys: true };
    expect(await checkAppends({ ...options, ...faults })).toBeGreaterThan(0);
  });
});
