import type { Mutant } from "./mutant.js";

const file = "raft/core/raftCore.ts";
const layer = "core";

/** Who leads, and since when. */
export const electionMutants: readonly Mutant[] = [
  {
    name: "vote twice",
    breaks: "a node votes for whoever asks, though it has voted in this term",
    layer,
    edits: [
      {
        file,
        from: "const free = this.votedFor === -1 || this.votedFor === request.from;",
        to: "const free = true;",
      },
    ],
  },
  {
    name: "vote without the log check",
    breaks: "§5.4.1: votes and pre-votes go to candidates whose logs are behind",
    layer,
    edits: [
      {
        file,
        from: "if (!free || this.leaderId !== -1) return false;\n    if (!this.log.isUpToDate(request.lastLogIndex, request.lastLogTerm)) return false;",
        to: "if (!free || this.leaderId !== -1) return false;",
      },
      {
        file,
        from: "if (!this.log.isUpToDate(request.lastLogIndex, request.lastLogTerm)) return false;\n    if (this.campaign?.preVote === true)",
        to: "if (this.campaign?.preVote === true)",
      },
    ],
  },
  {
    name: "log check in the pre-vote alone",
    breaks: "§5.4.1: the vote itself trusts that the pre-vote has compared the logs",
    layer,
    edits: [
      {
        file,
        from: "if (!free || this.leaderId !== -1) return false;\n    if (!this.log.isUpToDate(request.lastLogIndex, request.lastLogTerm)) return false;",
        to: "if (!free || this.leaderId !== -1) return false;",
      },
    ],
  },
  {
    name: "longer log wins",
    breaks: "§5.4.1: logs are compared by their length, not by their last term first",
    layer,
    edits: [
      {
        file: "raft/core/raftLog.ts",
        from: "return lastTerm > this.lastTerm || (lastTerm === this.lastTerm && lastIndex >= this.lastIndex);",
        to: "return lastTerm >= 0 && lastIndex >= this.lastIndex;",
      },
    ],
  },
  {
    name: "vote before it is on disk",
    breaks: "the answer to RequestVote leaves before term and vote are saved",
    layer,
    edits: [
      {
        file,
        from: "voteState: this.voteStateOf(request, granted),\n    };\n    this.outbox.reply(replyTo, reply, this.hardStateUnsaved);",
        to: "voteState: this.voteStateOf(request, granted),\n    };\n    this.outbox.reply(replyTo, reply, false);",
      },
    ],
  },
  {
    name: "vote never saved",
    breaks: "the disk gets the term without the vote",
    layer,
    edits: [
      {
        file,
        from: "const hardState = { term: this.currentTerm, votedFor: this.votedFor };",
        to: "const hardState = { term: this.currentTerm, votedFor: -1 };",
      },
    ],
  },
  {
    name: "own vote before it is on disk",
    breaks: "a candidate counts its own vote while its disk still writes it",
    layer,
    edits: [
      {
        file,
        from: "this.campaign = new Campaign(false, this.currentTerm, this.options.clusterSize);",
        to: "this.campaign = new Campaign(false, this.currentTerm, this.options.clusterSize);\n    this.campaign.record(this.id, true);",
      },
    ],
  },
  {
    name: "candidacy before it is on disk",
    breaks: "RequestVote leaves before the candidate's own term and vote are saved",
    layer,
    edits: [
      {
        file,
        from: "this.outbox.requestsAfterPersist.push({ to: peer, request });",
        to: "this.outbox.requests.push({ to: peer, request });",
      },
    ],
  },
  {
    name: "half is a majority",
    breaks: "in clusters of an even size, half of the nodes decide",
    layer,
    edits: [
      {
        file: "raft/core/quorum.ts",
        from: "return (size >> 1) + 1;",
        to: "return (size + 1) >> 1;",
      },
    ],
  },
  {
    name: "pre-vote counted as a vote",
    breaks: "a late answer to the pre-vote counts in the election after it",
    layer,
    edits: [
      {
        file,
        from: "if (campaign === null || campaign.preVote !== request.preVote) return;",
        to: "if (campaign === null) return;",
      },
    ],
  },
  {
    name: "vote of an older election",
    breaks: "a late answer to an earlier candidacy counts in this one",
    layer,
    edits: [{ file, from: "if (campaign.term !== request.term) return;\n", to: "" }],
  },
  {
    name: "stale heartbeat resets the timer",
    breaks: "an AppendEntries of an older term puts off the election",
    layer,
    edits: [
      {
        file,
        from: "if (term < this.currentTerm) return false;\n    // Two leaders",
        to: "if (term < this.currentTerm) {\n      this.resetElectionTimer();\n      return false;\n    }\n    // Two leaders",
      },
    ],
  },
  {
    name: "newer term in a reply ignored",
    breaks: "§5.1: a leader whose followers are in a newer term goes on",
    layer,
    edits: [
      {
        file,
        from: "if (this.stepDownIfNewer(reply.term) || this.leader === null) return;",
        to: "if (this.leader === null) return;",
      },
    ],
  },
  {
    name: "no pre-vote",
    breaks: "thesis §9.6: a node that was cut off comes back with a higher term, and deposes",
    layer,
    edits: [
      {
        file,
        from: "private startPreVote(): void {\n    this.becomeFollower(this.currentTerm, -1);",
        to: "private startPreVote(): void {\n    this.becomeFollower(this.currentTerm, -1);\n    return this.startElection(false);",
      },
    ],
  },
  {
    name: "no way given",
    breaks: "of two whose pre-votes cross neither gives way: they split the votes, and wait",
    layer,
    edits: [
      {
        file,
        from: "    if (this.campaign?.preVote === true) this.giveWayTo(request);\n",
        to: "",
      },
    ],
  },
  {
    name: "pre-vote against a living leader",
    breaks: "thesis §4.2.3: who hears a leader agrees to an election all the same",
    layer,
    edits: [
      {
        file,
        from: "if (this.hasLiveLeader || request.term <= this.currentTerm) return false;",
        to: "if (request.term <= this.currentTerm) return false;",
      },
    ],
  },
  {
    name: "vote against a living leader",
    breaks: "thesis §4.2.3: who hears a leader votes for another, whom it asked first",
    layer,
    edits: [
      {
        file,
        from: "if (this.hasLiveLeader && !request.leadershipTransfer) return false;\n",
        to: "",
      },
    ],
  },
  {
    name: "no CheckQuorum",
    breaks: "thesis §6.2: a leader that nobody answers goes on believing that it leads",
    layer,
    edits: [
      {
        file: "raft/core/leader.ts",
        from: "if (now - since >= this.options.electionTimeoutMsMax) return false;",
        to: "if (since === Infinity) return false;",
      },
    ],
  },
  {
    name: "stalled disk keeps the lead",
    breaks: "a leader whose disk does nothing goes on with its heartbeats",
    layer,
    edits: [
      {
        file,
        from: "if (this.now - stalled >= this.options.electionTimeoutMsMax)",
        to: "if (stalled === Infinity)",
      },
    ],
  },
  {
    name: "no chance in the election timeout",
    breaks: "§5.2: all nodes wait equally long, so that votes are split again and again",
    layer,
    edits: [
      {
        file,
        from: "this.electionAt = this.now + electionTimeoutMsMin + random() * spread;",
        to: "this.electionAt = this.now + electionTimeoutMsMin + 0 * random() * spread;",
      },
    ],
  },
];
