import { describe, expect, test } from "vitest";
import { steadyTuning } from "../../steadyTuning.js";
import { seedsOf } from "../seeds.js";
import { checkAppends } from "./appends.js";
import { electionMs, KvLab } from "./kvLab.js";

/* The KV lab of MIT 6.5840, part A: without snapshots. Each test has its name there. */

describe.each(seedsOf(1))("seed %s", (seed) => {
  test("TestBasic4A: one client", async () => {
    expect(await checkAppends({ seed, clients: 1 })).toBeGreaterThan(0);
  });

  test("TestSpeed4A: an operation takes a fraction of a heartbeat", async () => {
    const lab = new KvLab(seed, { servers: 3, clients: 1 });
    const [clerk] = lab.clients;
    const operations = 200;
    await lab.play(async () => {
      await clerk!.put("x", "");
      const startedAt = lab.cluster.clock.now;
      let expected = "";
      for (let done = 0; done < operations; done++) {
        const value = `x 0 ${done} y`;
        await clerk!.append("x", value);
        expected += value;
      }
      const spent = lab.cluster.clock.now - startedAt;
      expect(spent / operations).toBeLessThan(steadyTuning.node.heartbeatMs / 2);
      expect(await clerk!.get("x")).toBe(expected);
    });
  });

  test("TestConcurrent4A: many clients", async () => {
    expect(await checkAppends({ seed, clients: 5 })).toBeGreaterThan(0);
  });

  test("TestUnreliable4A: many clients, though a tenth of all is lost", async () => {
    expect(await checkAppends({ seed, clients: 5, unreliable: true })).toBeGreaterThan(0);
  });

  test("TestUnreliableOneKey4A: appends of many to one key, each once and in order", async () => {
    const lab = new KvLab(seed, { servers: 3, clients: 5, unreliable: true });
    const appends = 10;
    await lab.play(async () => {
      const [first] = lab.clients;
      await first!.put("k", "");
      const work = lab.clients.map(async (clerk, client) => {
        for (let done = 0; done < appends; done++) await clerk.append("k", `${client}.${done};`);
      });
      await Promise.all(work);
      const found = (await first!.get("k"))!.split(";").slice(0, -1);
      lab.clients.forEach((_, client) => {
        const own = found.filter((value) => value.startsWith(`${client}.`));
        expect(own).toEqual(Array.from({ length: appends }, (__, at) => `${client}.${at}`));
      });
      expect(found).toHaveLength(lab.clients.length * appends);
    });
  });

  test("TestOnePartition4A: the majority serves, the minority waits until it is over", async () => {
    const lab = new KvLab(seed, { servers: 5, clients: 4 });
    const [clerk, inMajority, writer, reader] = lab.clients;
    await lab.play(async () => {
      await clerk!.put("1", "13");
      const leader = await lab.leader();
      const minority = [leader, lab.servers[(leader.id + 1) % 5]!];
      const majority = lab.servers.filter((server) => !minority.includes(server));
      lab.split(minority);
      lab.confine(1, majority);
      lab.confine(2, minority);
      lab.confine(3, minority);
      await inMajority!.put("1", "14");
      expect(await inMajority!.get("1")).toBe("14");

      const ended: string[] = [];
      const put = writer!.put("1", "15").then(() => ended.push("put"));
      const get = reader!.get("1").then((value) => ended.push(`get ${value}`));
      await lab.sleep(electionMs);
      expect(ended).toEqual([]);
      await inMajority!.put("1", "16");
      expect(await inMajority!.get("1")).toBe("16");
      expect(ended).toEqual([]);

      lab.heal();
      const healedAt = lab.cluster.clock.now;
      await Promise.all([put, get]);
      expect(lab.cluster.clock.now - healedAt).toBeLessThan(3 * electionMs);
      expect(await clerk!.get("1")).toBe("15");
    });
  });

  test("TestManyPartitionsOneClient4A: one client under ever new partitions", async () => {
    expect(await checkAppends({ seed, clients: 1, partitions: true })).toBeGreaterThan(0);
  });

  test("TestManyPartitionsManyClients4A: many clients under ever new partitions", async () => {
    expect(await checkAppends({ seed, clients: 5, partitions: true })).toBeGreaterThan(0);
  });

  test("TestPersistOneClient4A: one client, and all servers crash", async () => {
    expect(await checkAppends({ seed, clients: 1, crashes: true })).toBeGreaterThan(0);
  });

  test("TestPersistConcurrent4A: many clients, and all servers crash", async () => {
    expect(await checkAppends({ seed, clients: 5, crashes: true })).toBeGreaterThan(0);
  });

  test("TestPersistConcurrentUnreliable4A: and a tenth of all is lost", async () => {
    const options = { seed, clients: 5, crashes: true, unreliable: true };
    expect(await checkAppends(options)).toBeGreaterThan(0);
  });

  test("TestPersistPartition4A: partitions, and all servers crash", async () => {
    const options = { seed, clients: 5, crashes: true, partitions: true };
    expect(await checkAppends(options)).toBeGreaterThan(0);
  });

  test("TestPersistPartitionUnreliable4A: and a tenth of all is lost", async () => {
    const options = { seed, clients: 5, crashes: true, partitions: true, unreliable: true };
    expect(await checkAppends(options)).toBeGreaterThan(0);
  });

  test("TestPersistPartitionUnreliableLinearizable4A: 7 servers, 15 clients, shared keys", async () => {
    const faults = { crashes: true, partitions: true, unreliable: true };
    const options = { seed, servers: 7, clients: 15, randomKeys: true, ...faults };
    expect(await checkAppends(options)).toBeGreaterThan(0);
  });
});
