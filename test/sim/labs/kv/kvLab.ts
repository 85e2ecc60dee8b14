import { raftDefaults } from "../../../../config/options.js";
import { FullCluster } from "../../full/fullCluster.js";
import { calmDisk, tightBoundPpm } from "../../full/fullTuning.js";
import type { SimClient } from "../../full/simClient.js";
import type { SimServer } from "../../full/simServer.js";
import { calmNetwork } from "../../network.js";
import { Prng } from "../../prng.js";
import { unreliableNetwork } from "../networks.js";

/** Within which a cluster whose majority is connected has a leader. */
export const electionMs = 1_000;
/** Simulated time that a story may take. */
const storyMsMax = 300_000;
const clockDriftMax = 0.01;
/** Small, so that compaction drops whole segments soon. */
const segmentBytes = 4_096;

export interface KvLabOptions {
  readonly servers: number;
  readonly clients: number;
  readonly unreliable?: boolean;
  /** Bytes of log after which a server takes a snapshot; without it there are none. */
  readonly snapshotLogBytes?: number;
}

/**
 * What the scenarios of the course's KV lab are told in: whole servers that are cut off from each
 * other, crashed and started, and Clerks. Everything runs in virtual time under all of
 * `Invariants`, and what the clients saw must be linearizable.
 */
export class KvLab {
  readonly cluster: FullCluster;
  readonly prng: Prng;

  constructor(seed: number, options: KvLabOptions) {
    const { servers, clients, unreliable = false, snapshotLogBytes = -1 } = options;
    this.prng = new Prng(seed);
    this.cluster = new FullCluster(seed, {
      tuning: {
        nodes: servers,
        raft: {
          readMode: "readIndex",
          leaseClockDriftPpmMax: tightBoundPpm(clockDriftMax),
          // Nothing tells that a message is lost: the defaults are for connections that break.
          snapshotChunkTimeoutMs: 300,
          snapshotInstallTimeoutMs: 1_000,
        },
        kv: { snapshotLogBytes, trailingEntries: 0, commandCodec: "compact" },
        segmentBytes,
        network: unreliable ? unreliableNetwork : calmNetwork,
        disk: { ...calmDisk, keepChance: 0 },
        clockDriftMax,
        turnMsMax: 0.2,
        client: {
          clients,
          timeoutMs: storyMsMax,
          thinkMsMax: 0,
          keys: 1,
          readChance: 0,
          appendChance: 0,
          valueBytesMax: 0,
        },
      },
    });
  }

  get servers(): readonly SimServer[] {
    return this.cluster.servers;
  }

  get clients(): readonly SimClient[] {
    return this.cluster.clients;
  }

  /** Starts the servers and tells `story` to its end; then looks at all that happened in it. */
  async play(story: () => Promise<void>): Promise<void> {
    const { cluster } = this;
    let end: { readonly error?: unknown } | undefined;
    for (const server of this.servers) server.start();
    story().then(
      () => (end = {}),
      (error: unknown) => (end = { error }),
    );
    try {
      if (!(await cluster.runFor(storyMsMax, () => end !== undefined)))
        throw new Error(`the story does not end within ${storyMsMax} ms`);
      if (end !== undefined && "error" in end) throw end.error;
      cluster.invariants.checkAll();
      cluster.checkClients();
    } finally {
      for (const client of this.clients) await client.close();
    }
  }

  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.cluster.clock.after(ms, resolve);
    });
  }

  /** The one that leads the newest term; waits until there is one. */
  async leader(): Promise<SimServer> {
    for (;;) {
      const leaders = this.servers.filter(({ core }) => core?.role === "leader");
      const newest = leaders.sort((a, b) => b.core!.term - a.core!.term)[0];
      if (newest !== undefined) return newest;
      await this.sleep(raftDefaults.heartbeatMs);
    }
  }

  // --- the network

  /** Servers hear each other within `group` and among the others; every client hears all. */
  split(group: readonly SimServer[]): void {
    const { network } = this.cluster;
    network.heal();
    for (const from of this.servers)
      for (const to of this.servers)
        if (group.includes(from) !== group.includes(to)) network.block(from.id, to.id);
  }

  /** From now on, and beside what is cut already, `client` hears only `group`. */
  confine(client: number, group: readonly SimServer[]): void {
    const { network } = this.cluster;
    const place = this.servers.length + client;
    for (const server of this.servers) {
      if (group.includes(server)) continue;
      network.block(place, server.id);
      network.block(server.id, place);
    }
  }

  heal(): void {
    this.cluster.network.heal();
  }

  setReliable(): void {
    this.cluster.network.tuning = calmNetwork;
  }

  // --- servers

  crashAll(): void {
    for (const server of this.servers) server.holdDown();
  }

  startAll(): void {
    for (const server of this.servers) server.letUp();
  }

  /** Every one of `servers` has all that is committed; throws when that takes too long. */
  async allApplied(servers = this.servers, withinMs = 5 * electionMs): Promise<void> {
    const deadline = this.cluster.clock.now + withinMs;
    const isBehind = ({ lastApplied }: SimServer): boolean =>
      lastApplied < this.cluster.invariants.commitIndex;
    while (servers.some(isBehind)) {
      if (this.cluster.clock.now > deadline) throw new Error("a server does not catch up");
      await this.sleep(raftDefaults.heartbeatMs);
    }
  }

  /** Bytes of the longest log. */
  get logBytes(): number {
    return Math.max(...this.servers.map((server) => server.logBytes));
  }
}
