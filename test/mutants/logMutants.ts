import type { Mutant } from "./mutant.js";

const core = "raft/core/raftCore.ts";
const leader = "raft/core/leader.ts";
const follower = "raft/core/follower.ts";
const progress = "raft/core/progress.ts";
const layer = "core";

/** Replication and commitment. */
export const logMutants: readonly Mutant[] = [
  {
    name: "no conflict truncation",
    breaks: "§5.3: a follower keeps entries that conflict with the leader's, and says yes",
    layer,
    edits: [
      {
        file: follower,
        from: "if (index <= log.lastIndex) log.truncate(index);",
        to: "if (index <= log.lastIndex) return true;",
      },
    ],
  },
  {
    name: "truncation without a conflict",
    breaks: "a late AppendEntries removes what was acknowledged after it",
    layer,
    edits: [
      {
        file: follower,
        from: "if (start === entries.length) return true;",
        to: "if (start === entries.length) {\n    const end = Math.max(log.commitIndex, entries.at(-1)?.index ?? log.lastIndex);\n    if (end < log.lastIndex) log.truncate(end + 1);\n    return true;\n  }",
      },
    ],
  },
  {
    name: "previous term unchecked",
    breaks: "§5.3: a follower only looks whether it has an entry at prevLogIndex",
    layer,
    edits: [
      {
        file: follower,
        from: "return log.term(request.prevLogIndex) === request.prevLogTerm;",
        to: "return log.term(request.prevLogIndex) >= 0;",
      },
    ],
  },
  {
    name: "commit beyond what was sent",
    breaks: "a follower commits up to leaderCommit what the request has not compared",
    layer,
    edits: [
      {
        file: follower,
        from: "Math.min(request.leaderCommit, lastSent)",
        to: "Math.min(request.leaderCommit, log.lastIndex)",
      },
    ],
  },
  {
    name: "commit of an older term by counting",
    breaks: "§5.4.2, Figure 8: entries of older terms are committed when a majority has them",
    layer,
    edits: [
      {
        file: leader,
        from: "return index > this.log.commitIndex && this.log.term(index) === this.term ? index : 0;",
        to: "return index > this.log.commitIndex ? index : 0;",
      },
    ],
  },
  {
    name: "commit by acknowledgement count",
    breaks: "all is committed that the leader has once a majority has answered anything of late",
    layer,
    edits: [
      {
        file: leader,
        from: "const index = this.quorumOf(this.log.durableIndex, (follower) => follower.matchIndex);",
        to: "const since = this.heartbeatAt - this.options.heartbeatMs;\n    const answers = this.followers.filter(({ ackedSentAt }) => ackedSentAt >= since);\n    const index = 2 * (answers.length + 1) > this.options.clusterSize ? this.log.durableIndex : 0;",
      },
    ],
  },
  {
    name: "heartbeat acknowledges everything",
    breaks: "the answer to a heartbeat counts for all that was ever sent",
    layer,
    edits: [
      {
        file: progress,
        from: "const moved = context.lastIndex > this.matchIndex;\n    if (moved) this.matchIndex = context.lastIndex;",
        to: "const acknowledged = Math.max(context.lastIndex, this.nextIndex - 1);\n    const moved = acknowledged > this.matchIndex;\n    if (moved) this.matchIndex = acknowledged;",
      },
    ],
  },
  {
    name: "own disk counted before it is done",
    breaks: "the leader counts itself for entries that it is still writing",
    layer,
    edits: [
      {
        file: leader,
        from: "const index = this.quorumOf(this.log.durableIndex, (follower) => follower.matchIndex);",
        to: "const index = this.quorumOf(this.log.lastIndex, (follower) => follower.matchIndex);",
      },
    ],
  },
  {
    name: "acknowledgement before it is on disk",
    breaks: "a follower says yes to entries that it is still writing",
    layer,
    edits: [
      {
        file: core,
        from: "const unsaved = this.hardStateUnsaved || result.matchIndex > this.log.durableIndex;",
        to: "const unsaved = this.hardStateUnsaved;",
      },
    ],
  },
  {
    name: "term revealed before it is on disk",
    breaks: "the answer to AppendEntries does not wait for a new term to be saved",
    layer,
    edits: [
      {
        file: core,
        from: "const unsaved = this.hardStateUnsaved || result.matchIndex > this.log.durableIndex;",
        to: "const unsaved = result.matchIndex > this.log.durableIndex;",
      },
    ],
  },
  {
    name: "overtaken save counts (ABA)",
    breaks: "a save that was truncated meanwhile proves the entries that took its place",
    layer,
    edits: [
      {
        file: "raft/core/raftLog.ts",
        from: "for (const save of this.saves) save.lastIndex = Math.min(save.lastIndex, from - 1);",
        to: "",
      },
    ],
  },
  {
    name: "packed before it is committed",
    breaks: "entries that a conflict may replace are packed, where nothing changes them",
    layer,
    edits: [
      {
        file: "raft/core/raftLog.ts",
        from: "this.pack(Math.min(this.commit, this.saving));",
        to: "this.pack(Math.min(this.lastIndex, this.saving));",
      },
    ],
  },
  {
    name: "match index moves back",
    breaks: "a late acknowledgement takes back a newer one",
    layer,
    edits: [
      {
        file: progress,
        from: "if (moved) this.matchIndex = context.lastIndex;",
        to: "this.matchIndex = context.lastIndex;",
      },
    ],
  },
  {
    name: "reply of an older term counts",
    breaks: "what a follower had acknowledged in an earlier term of this leader counts in this one",
    layer,
    edits: [
      {
        file: core,
        from: "if (context.term !== this.currentTerm || reply.term !== this.currentTerm) return;\n",
        to: "",
      },
      {
        file: leader,
        from: "if (follower === undefined || context.term !== this.term) return;",
        to: "if (follower === undefined) return;",
      },
    ],
  },
  {
    name: "no-op left out",
    breaks: "§8: a new leader waits for a client until it can commit what it was left",
    layer,
    edits: [
      {
        file: leader,
        from: "log.append([{ index: this.termStartIndex, term, command: options.noop }]);",
        to: "",
      },
    ],
  },
  {
    name: "backtracking one by one",
    breaks: "§5.3: each refusal moves the leader back by one entry, not by a term",
    layer,
    edits: [
      {
        file: follower,
        from: "while (index > log.commitIndex + 1 && log.term(index - 1) === term) index--;",
        to: "if (log.term(index) !== term) index--;",
      },
    ],
  },
  {
    name: "lost probe not repeated",
    breaks: "a follower whose probe got no answer is never sent entries again",
    layer,
    edits: [
      {
        file: progress,
        from: "if (this.isProbe(context)) this.probeSequence = 0;\n  }\n\n  /** @param installed",
        to: "}\n\n  /** @param installed",
      },
    ],
  },
  {
    name: "window never freed",
    breaks: "answers make no room for further requests in flight",
    layer,
    edits: [{ file: progress, from: "this.inflight--;", to: "" }],
  },
  {
    name: "uncommitted bytes never freed",
    breaks: "what was committed goes on to count against the bound on uncommitted bytes",
    layer,
    edits: [
      {
        file: leader,
        from: "this.uncommittedBytes -= this.log.bytesAt(index);",
        to: "this.log.bytesAt(index);",
      },
    ],
  },
];
