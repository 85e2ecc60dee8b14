import type { Mutant } from "./mutant.js";

const core = "raft/core/raftCore.ts";
const log = "raft/core/raftLog.ts";
const progress = "raft/core/progress.ts";
const layer = "core";

/** Compaction and InstallSnapshot (§7). */
export const snapshotMutants: readonly Mutant[] = [
  {
    name: "snapshot moves backwards",
    breaks: "a late snapshot replaces a log that has committed more",
    layer,
    edits: [
      {
        file: core,
        from: "if (!this.acceptLeader(term, from) || meta.index <= this.log.commitIndex) return false;\n    if (this.log.term(meta.index) === meta.term) {",
        to: "if (!this.acceptLeader(term, from)) return false;\n    if (meta.index > this.log.commitIndex && this.log.term(meta.index) === meta.term) {",
      },
      {
        file: log,
        from: "invariant(snapshot.index > this.commit, () => `snapshot ${snapshot.index} moves back`);",
        to: "",
      },
    ],
  },
  {
    name: "snapshot drops what follows it",
    breaks: "§7: entries behind the snapshot go though they match, acknowledged ones among them",
    layer,
    edits: [
      {
        file: core,
        from: "if (this.log.term(meta.index) === meta.term) {",
        to: "if (this.log.term(meta.index) === Infinity) {",
      },
    ],
  },
  {
    name: "compaction forgets the last term",
    breaks: "the term of the last compacted entry is an older one's",
    layer,
    edits: [{ file: log, from: "this.termBefore = this.term(index);", to: "" }],
  },
  {
    name: "failed transfer counts as installed",
    breaks: "a follower is taken to have a snapshot that never arrived",
    layer,
    edits: [
      {
        file: progress,
        from: "if (installed) this.matchIndex = Math.max(this.matchIndex, index);",
        to: "this.matchIndex = Math.max(this.matchIndex, index);\n    if (installed) this.paused = false;",
      },
    ],
  },
  {
    name: "failed transfer not repeated",
    breaks: "a follower whose snapshot was lost is sent nothing any more",
    layer,
    edits: [
      {
        file: progress,
        from: "else this.paused = true;\n    this.becomeProbe();",
        to: "else return;\n    this.becomeProbe();",
      },
    ],
  },
  {
    name: "save overtaken by a snapshot counts",
    breaks: "a save from before the snapshot proves the entries that came behind it",
    layer,
    edits: [{ file: log, from: "for (const save of this.saves) save.lastIndex = 0;", to: "" }],
  },
];
