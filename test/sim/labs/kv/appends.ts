import { electionMs, KvLab } from "./kvLab.js";

export interface AppendsOptions {
  readonly seed: number;
  readonly clients: number;
  readonly servers?: number;
  readonly unreliable?: boolean;
  /** All servers crash at the end of each round, and start again. */
  readonly crashes?: boolean;
  /** While the clients write, the servers are split at random again and again. */
  readonly partitions?: boolean;
  readonly snapshotLogBytes?: number;
  /** Clients write to keys of all, and not each to one of its own. */
  readonly randomKeys?: boolean;
}

const rounds = 2;
const roundMs = 3_000;
/** Writes that one client does in a round at most, so that checking a history stays cheap. */
const writesMax = 40;
/** And at least, however long it was cut off. */
const writesMin = 3;
const randomKeyCount = 10;
/** The course's bound, in snapshots' distances: logs grow on while a snapshot is written. */
export const logBytesFactor = 8;

/**
 * Clients append, each to its own key, or put and append to keys that they share, and read what
 * they wrote, while the servers fail as asked. Returns how many writes were done.
 */
export async function checkAppends(options: AppendsOptions): Promise<number> {
  const { seed, clients, servers = 5, unreliable = false, snapshotLogBytes } = options;
  const log = snapshotLogBytes === undefined ? {} : { snapshotLogBytes };
  const lab = new KvLab(seed, { servers, clients, unreliable, ...log });
  let writes = 0;
  await lab.play(async () => {
    for (let round = 0; round < rounds; round++) {
      const deadline = lab.cluster.clock.now + roundMs;
      const work = lab.clients.map((_, client) => write(lab, client, round, deadline, options));
      if (options.partitions === true) await splitUntil(lab, deadline);
      else await lab.sleep(roundMs);
      lab.heal();
      if (options.crashes === true) await restart(lab);
      const counts = await Promise.all(work);
      writes += counts.reduce((sum, count) => sum + count, 0);
      if (snapshotLogBytes !== undefined) await checkLogs(lab, snapshotLogBytes);
    }
    lab.setReliable();
    await lab.allApplied();
  });
  return writes;
}

async function splitUntil(lab: KvLab, deadline: number): Promise<void> {
  while (lab.cluster.clock.now < deadline) {
    lab.split(lab.servers.filter(() => lab.prng.chance(0.5)));
    await lab.sleep(electionMs + lab.prng.between(0, 200));
  }
}

/** Some of the clients' requests are under way then. */
async function restart(lab: KvLab): Promise<void> {
  lab.crashAll();
  await lab.sleep(electionMs / 2);
  lab.startAll();
}

/** One client's round; returns how many writes it did. */
async function write(
  lab: KvLab,
  client: number,
  round: number,
  deadline: number,
  { randomKeys = false }: AppendsOptions,
): Promise<number> {
  const clerk = lab.clients[client]!;
  const own = `of ${client} in ${round}`;
  let expected = "";
  let done = 0;
  await clerk.put(own, "");
  while (done < writesMin || (lab.cluster.clock.now < deadline && done < writesMax)) {
    const value = `x ${client} ${round} ${done} y`;
    if (randomKeys) {
      const key = `shared ${lab.prng.int(1, randomKeyCount)}`;
      const kind = lab.prng.pick(["put", "append", "get"] as const);
      if (kind === "get") await clerk.get(key);
      else await clerk[kind](key, value);
    } else if (lab.prng.chance(0.5)) {
      await clerk.append(own, value);
      expected += value;
    } else {
      mustEqual(await clerk.get(own), expected);
    }
    done++;
    await lab.sleep(lab.prng.between(0, 50));
  }
  mustEqual(await clerk.get(own), expected);
  return done;
}

function mustEqual(found: string | undefined, expected: string): void {
  if (found !== expected) throw new Error(`a client finds ${found}, not ${expected}`);
}

async function checkLogs(lab: KvLab, snapshotLogBytes: number): Promise<void> {
  await lab.sleep(electionMs / 2);
  const { logBytes } = lab;
  if (logBytes > logBytesFactor * snapshotLogBytes)
    throw new Error(`a log of ${logBytes} bytes, though snapshots come every ${snapshotLogBytes}`);
}
