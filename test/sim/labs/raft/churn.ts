import { electionMs, type RaftLab } from "./raftLab.js";

const clients = 3;
const rounds = 20;
/** Between two looks of a client. */
const clientMs = 20;
/** After which a client gives a command up. */
const patienceMs = 2_000;

interface Client {
  command: Uint8Array;
  index: number;
  proposedAt: number;
}

/**
 * Clients propose one command after the other while servers are disconnected, crashed and brought
 * back at random; what they saw committed must stay. Returns how many commands that were.
 */
export function churn(lab: RaftLab): number {
  const seen: Client[] = [];
  const state = { isOver: false };
  for (let client = 0; client < clients; client++) live(lab, state, seen);
  for (let round = 0; round < rounds; round++) {
    disturb(lab);
    lab.sleep(0.7 * electionMs);
  }
  lab.sleep(electionMs);
  state.isOver = true;
  lab.setNetwork("reliable");
  lab.start(...lab.nodes);
  lab.connect(...lab.nodes);
  lab.one(lab.nodes.length);
  for (const { index, command } of seen)
    if (!lab.isAt(index, command)) throw new Error(`a client's command at ${index} is lost`);
  return seen.length;
}

function disturb(lab: RaftLab): void {
  const { prng, nodes } = lab;
  if (prng.chance(0.2)) lab.disconnect(prng.pick(nodes));
  if (prng.chance(0.5)) {
    const node = prng.pick(nodes);
    lab.start(node);
    lab.connect(node);
  }
  if (prng.chance(0.2)) lab.crash(prng.pick(nodes));
}

function live(lab: RaftLab, state: { readonly isOver: boolean }, seen: Client[]): void {
  const { clock } = lab.cluster;
  const client: Client = { command: lab.command(), index: 0, proposedAt: 0 };
  const look = (): void => {
    if (state.isOver) return;
    if (client.index > 0 && lab.appliedBy(client.index) > 0) {
      if (lab.isAt(client.index, client.command)) seen.push({ ...client });
      renew(lab, client);
    } else if (client.index > 0 && clock.now - client.proposedAt > patienceMs) {
      renew(lab, client);
    } else if (client.index === 0) {
      client.index = Math.max(...lab.nodes.map((node) => lab.propose(node, client.command)));
      client.proposedAt = clock.now;
    }
    clock.after(lab.prng.between(0, clientMs), look);
  };
  look();
}

function renew(lab: RaftLab, client: Client): void {
  client.command = lab.command();
  client.index = 0;
}
