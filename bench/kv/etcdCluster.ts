import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { freePorts } from "../../test/process/cluster.js";
import { EtcdClient } from "./etcdClient.js";
import { Program, eventually, revivalMsMax, revivalPollMs } from "./processes.js";
import type { Caller, Processes, Target } from "./target.js";

function urlOf(port: number | undefined): string {
  return `http://127.0.0.1:${port}`;
}

interface Member {
  readonly url: string;
  readonly program: Program;
}

/** etcd at its defaults, on loopback, with a lean client (see `EtcdClient`). */
export class EtcdCluster implements Target {
  readonly name = "etcd";
  private readonly file: string;
  private readonly size: number;
  private dir = "";
  private members: Member[] = [];
  private killed: readonly Member[] = [];

  constructor(file: string, size: number) {
    this.file = file;
    this.size = size;
  }

  async start(): Promise<void> {
    this.dir = await mkdtemp(path.join(tmpdir(), "etcd-bench-"));
    const ports = await freePorts(2 * this.size);
    const names = Array.from({ length: this.size }, (_, id) => `m${id}`);
    const all = names.map((name, id) => `${name}=${urlOf(ports[this.size + id])}`).join(",");
    this.members = names.map((name, id) => {
      const client = urlOf(ports[id]);
      const peer = urlOf(ports[this.size + id]);
      const flags: Record<string, string> = {
        name,
        "data-dir": path.join(this.dir, name),
        "log-level": "error",
        "listen-client-urls": client,
        "advertise-client-urls": client,
        "listen-peer-urls": peer,
        "initial-advertise-peer-urls": peer,
        "initial-cluster": all,
        "initial-cluster-state": "new",
      };
      const program = new Program(this.file, flags);
      return { url: client, program };
    });
    await eventually(() => this.leader());
  }

  async connect(connections: number): Promise<Caller[]> {
    const leader = await eventually(() => this.leader());
    const callers = Array.from({ length: connections }, () => new EtcdClient(leader.url));
    await Promise.all(callers.map((caller) => caller.put("warm", Buffer.from("up"))));
    return callers;
  }

  async processes(): Promise<Processes> {
    const leader = await eventually(() => this.leader());
    const followers = this.members.filter((member) => member !== leader);
    return { leader: leader.program.pid, followers: followers.map(({ program }) => program.pid) };
  }

  async counters(): Promise<null> {
    return null;
  }

  async kill(which: "one" | "all"): Promise<void> {
    const leader = which === "all" ? null : await eventually(() => this.leader());
    const others = this.members.filter((member) => member !== leader);
    this.killed = which === "all" ? others : others.slice(0, 1);
    await Promise.all(this.killed.map(({ program }) => program.stop()));
  }

  /** A linearizable read through a member waits until that has applied what was committed. */
  async revive(): Promise<void> {
    for (const { program } of this.killed) program.start();
    await Promise.all(
      this.killed.map(({ url }) =>
        eventually(
          async () => {
            const client = new EtcdClient(url);
            await client.get("any").finally(() => void client.close());
          },
          revivalMsMax,
          revivalPollMs,
        ),
      ),
    );
    this.killed = [];
  }

  async stop(): Promise<void> {
    await Promise.all(this.members.map(({ program }) => program.stop()));
    await rm(this.dir, { recursive: true, force: true });
  }

  private async leader(): Promise<Member> {
    for (const member of this.members) {
      const client = new EtcdClient(member.url);
      try {
        if (await client.leads()) return member;
      } finally {
        await client.close();
      }
    }
    throw new Error("no etcd member leads");
  }
}
