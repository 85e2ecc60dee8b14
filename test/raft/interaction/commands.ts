import { bytes } from "../core/harness.js";
import { ScriptCluster } from "./scriptCluster.js";
import { entriesText, place } from "./wording.js";

type Command = (args: readonly string[]) => readonly string[];

/** The language of the scripts: see README.md beside them. */
export class Interpreter {
  private cluster: ScriptCluster | null = null;

  run(line: string): readonly string[] {
    const [name = "", ...args] = line.split(" ");
    const command = this.commands[name];
    if (command === undefined) throw new Error(`no such command: ${name}`);
    return command(args);
  }

  private readonly commands: Readonly<Record<string, Command>> = {
    nodes: (args) => this.nodes(args),
    elapse: ([who = "", ms = ""]) => {
      for (const id of this.ids(who)) this.node(id).elapse(integer(ms));
      return [];
    },
    timeout: ([who = ""]) => {
      const node = this.node(integer(who));
      node.elapse(Math.max(0, node.core.nextDeadline - node.now));
      return [`${who} is ${node.core.role}, term ${node.core.term}`];
    },
    elect: (args) => this.elect(args),
    propose: ([who = "", ...commands]) => {
      const result = this.node(integer(who)).core.propose(commands.map(bytes));
      return [result.outcome === "accepted" ? `accepted to ${result.lastIndex}` : result.outcome];
    },
    read: ([who = ""]) => {
      const round = this.node(integer(who)).core.requestRead();
      return [round === 0 ? "not the leader" : `joins round ${round}`];
    },
    leaseread: ([who = "", later = "0"]) => this.leaseRead(integer(who), integer(later)),
    transfer: ([who = "", to = ""]) => {
      const begun = this.node(integer(who)).core.transferLeadership(integer(to));
      return [begun ? "begun" : "refused"];
    },
    peerdown: ([who = "", peer = ""]) => {
      this.node(integer(who)).core.peerDown(integer(peer));
      return [];
    },
    ready: ([who = ""]) => this.node(integer(who)).ready(),
    persist: ([who = "", count = "1"]) =>
      Array.from({ length: integer(count) }, () => this.node(integer(who)).persist()).flat(),
    deliver: ([way = "", count = "1000"]) =>
      this.take(way, count).map((message) => this.world.deliver(message)),
    drop: ([way = "", count = "1000"]) =>
      this.take(way, count).map((message) => this.world.drop(message)),
    stabilize: (args) =>
      this.world.stabilize(args.length === 0 ? this.ids("all") : args.map(integer)),
    compact: ([who = "", index = ""]) => {
      this.node(integer(who)).compact(integer(index));
      return [];
    },
    restart: ([who = ""]) => this.node(integer(who)).restart(),
    status: ([who = ""]) => this.status(integer(who)),
    log: ([who = ""]) => this.log(integer(who)),
    queue: () => this.world.underWay,
  };

  private nodes([size = "", ...settings]: readonly string[]): string[] {
    const options: Record<string, unknown> = {};
    const logs = new Map<number, number[]>();
    let term = 0;
    for (const setting of settings) {
      const [key = "", value = ""] = setting.split("=");
      if (key === "term") term = integer(value);
      else if (key.startsWith("log"))
        logs.set(integer(key.slice(3)), value.split(",").map(integer));
      else options[key] = key === "readMode" ? value : integer(value);
    }
    const starts = Array.from({ length: integer(size) }, (_, id) => ({
      term,
      terms: logs.get(id) ?? [],
    }));
    this.cluster = new ScriptCluster(options, starts);
    return [];
  }

  private elect([who = "", ...voters]: readonly string[]): string[] {
    const id = integer(who);
    const others = this.ids("all").filter((other) => other !== id);
    this.world.elect(id, voters.length === 0 ? others : voters.map(integer));
    return [`${id} leads term ${this.node(id).core.term}`];
  }

  private leaseRead(id: number, laterMs: number): string[] {
    const { core, now } = this.node(id);
    const read = core.leaseRead(now);
    if (read === null) return ["no lease"];
    const holds = core.leaseHolds(read, now + laterMs);
    return [`read at ${read.index}: ${holds ? "served" : "the lease ran out meanwhile"}`];
  }

  private status(id: number): string[] {
    const { core } = this.node(id);
    const { log } = core;
    const leader = core.currentLeader === -1 ? "none" : core.currentLeader;
    return [
      `${core.role}, term ${core.term}, leader ${leader}, commit ${log.commitIndex}, durable ${log.durableIndex}`,
      ...core
        .followers()
        .map(
          (peer) => `  ${peer.id}: ${peer.state}, match ${peer.matchIndex}, next ${peer.nextIndex}`,
        ),
    ];
  }

  private log(id: number): string[] {
    const { log } = this.node(id).core;
    const start = place({ index: log.firstIndex - 1, term: log.term(log.firstIndex - 1) });
    const entries = log.slice(log.firstIndex, Infinity, Infinity);
    return [entries.length === 0 ? `after ${start}` : `after ${start}: ${entriesText(entries)}`];
  }

  private take(way: string, count: string) {
    const [from = "", to = ""] = way.split("->");
    const taken = this.world.take(integer(from), integer(to), integer(count));
    if (taken.length === 0) throw new Error("there is no such message");
    return taken;
  }

  private get world(): ScriptCluster {
    if (this.cluster === null) throw new Error('a script begins with "nodes N"');
    return this.cluster;
  }

  private node(id: number) {
    return this.world.node(id);
  }

  private ids(who: string): number[] {
    return who === "all" ? this.world.nodes.map(({ id }) => id) : [integer(who)];
  }
}

function integer(text: string): number {
  const value = Number(text);
  if (text === "" || !Number.isInteger(value)) throw new Error(`not a number: "${text}"`);
  return value;
}
