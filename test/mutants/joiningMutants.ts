import type { Mutant } from "./mutant.js";

const core = "raft/core/raftCore.ts";
const layer = "joining";

/** A node that lost its disk, and what it could help to forget. */
export const joiningMutants: readonly Mutant[] = [
  {
    name: "wiped node votes at once",
    breaks: "a node with a new data directory takes its cluster for a new one",
    layer,
    edits: [
      {
        file: "raft/persister/walPersister.ts",
        from: "hardState: settings.newNodeVotes ? nobody : { ...nobody, joining: true },",
        to: "hardState: nobody,",
      },
    ],
  },
  {
    name: "joining node votes",
    breaks: "who may have forgotten a vote gives another in the same term",
    layer,
    edits: [
      { file: core, from: "const decides = this.joining === null;", to: "const decides = true;" },
    ],
  },
  {
    name: "joining node counts",
    breaks: "entries are committed, and reads confirmed, by who has no vote",
    layer,
    edits: [
      {
        file: "raft/core/leader.ts",
        from: "values.push(follower.joining === 0 ? valueOf(follower) : -Infinity);",
        to: "values.push(valueOf(follower));",
      },
    ],
  },
  {
    name: "admitted before it has caught up",
    breaks: "a joining node votes without what it once acknowledged",
    layer,
    edits: [
      {
        file: "raft/core/progress.ts",
        from: "const mayVote = this.joining === lostEntries || this.matchIndex >= this.admitAt;",
        to: "const mayVote = true;",
      },
    ],
  },
  {
    name: "admitted by a leader of any term",
    breaks: "a joining node does not wait for the others' terms: it may have voted in a newer one",
    layer,
    edits: [
      {
        file: core,
        from: "success && joining.heardAll && (admits",
        to: "success && (admits",
      },
    ],
  },
  {
    name: "cluster taken for new too early",
    breaks: "a node with a new disk votes when all others have answered, whatever they said",
    layer,
    edits: [
      {
        file: "raft/core/joining.ts",
        from: "return this.heardAll && [...this.terms.values()].every((term) => term === 0);",
        to: "return this.heardAll;",
      },
      {
        file: core,
        from: "const isNew = joining.clusterIsNew && this.currentTerm === 0 && this.log.lastIndex === 0;",
        to: "const isNew = joining.clusterIsNew;",
      },
    ],
  },
];
