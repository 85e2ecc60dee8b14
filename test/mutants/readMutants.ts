import type { Mutant } from "./mutant.js";

const core = "raft/core/raftCore.ts";
const leader = "raft/core/leader.ts";
const rounds = "raft/core/readRounds.ts";
const layer = "core";

/** Linearizable reads (thesis §6.4). */
export const readMutants: readonly Mutant[] = [
  {
    name: "ReadIndex without a quorum",
    breaks: "a read is confirmed without asking anybody",
    layer,
    edits: [
      {
        file: rounds,
        from: "if (!this.out || quorumRound < this.begun) return null;",
        to: "if (!this.out) return null;",
      },
    ],
  },
  {
    name: "ReadIndex before the term's first commit",
    breaks: "a new leader reads at a commit index that may be behind its predecessor's",
    layer,
    edits: [
      {
        file: leader,
        from: "this.reads.begin(Math.max(this.log.commitIndex, this.termStartIndex));",
        to: "this.reads.begin(this.log.commitIndex);",
      },
    ],
  },
  {
    name: "read joins a round under way",
    breaks: "a read is confirmed by answers to requests that left before it came",
    layer,
    edits: [
      {
        file: rounds,
        from: "return this.begun + 1;",
        to: "return this.out ? this.begun : this.begun + 1;",
      },
    ],
  },
  {
    name: "reads forgotten with the lead",
    breaks: "nobody is told that a read can't be confirmed any more",
    layer,
    edits: [
      { file: core, from: "if (this.leader !== null) this.outbox.readsLost = true;", to: "" },
    ],
  },
  {
    name: "lease without the clock bound",
    breaks: "the lease lasts an election timeout, however far the clocks may run apart",
    layer,
    edits: [
      {
        file: "raft/core/lease.ts",
        from: "return options.electionTimeoutMsMin / (1 + options.leaseClockDriftPpmMax / 1_000_000);",
        to: "return options.electionTimeoutMsMin;",
      },
    ],
  },
  {
    name: "lease from the answer's arrival",
    breaks: "the lease counts from when the answer came, not from when the request left",
    layer,
    edits: [
      {
        file: "raft/core/progress.ts",
        from: "this.ackedSentAt = Math.max(this.ackedSentAt, context.sentAt);",
        to: "this.ackedSentAt = now;",
      },
    ],
  },
  {
    name: "lease outlives a transfer",
    breaks: "a leader reads under its lease after it told another to campaign at once",
    layer,
    edits: [
      {
        file: leader,
        from: "if (this.leaseIsForfeit || this.transferTo !== -1) return false;\n",
        to: "",
      },
    ],
  },
  {
    name: "lease before the term's first commit",
    breaks: "a new leader reads before it knows what its predecessor had committed",
    layer,
    edits: [
      {
        file: leader,
        from: "if (this.log.commitIndex < this.termStartIndex) return false;\n",
        to: "",
      },
    ],
  },
  {
    name: "restart forgets the lease it upholds",
    breaks: "a node that was restarted votes at once, within a lease of the leader it had answered",
    layer,
    edits: [
      {
        file: core,
        from: 'if (options.readMode === "lease" && this.currentTerm > 0) this.leaderHeardAt = now;',
        to: "",
      },
    ],
  },
];
