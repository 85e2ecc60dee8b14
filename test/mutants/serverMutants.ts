import type { Mutant } from "./mutant.js";

const layer = "server";

/** What stands around the core: driver, log on disk, state machine. */
export const serverMutants: readonly Mutant[] = [
  {
    name: "duplicate detection off",
    breaks: "a request that is in the log twice is applied twice",
    layer,
    edits: [
      {
        file: "kvserver/stateMachine.ts",
        from: "if (known !== null) return known;",
        to: "if (known === undefined) return known;",
      },
    ],
  },
  {
    name: "snapshot without the sessions",
    breaks: "a node that started from a snapshot no longer knows what it has applied",
    layer,
    edits: [
      {
        file: "kvserver/sessions.ts",
        from: "const slot = this.create(record.clientId, opened, firstUnfinished, appliedThrough);",
        to: "const slot = this.create(record.clientId, opened, firstUnfinished, 0 * appliedThrough);",
      },
    ],
  },
  {
    name: "plain local read",
    breaks: "a Get is answered by whoever believes that it leads",
    layer,
    edits: [
      {
        file: "kvserver/kvServer.ts",
        from: "const lease = this.raft.leaseRead();",
        to: "if (this.raft.getState().isLeader)\n      return this.answerGet(this.state.machine.data.peek(args.Key), done);\n    const lease = this.raft.leaseRead();",
      },
    ],
  },
  {
    name: "read before it is applied",
    breaks: "a confirmed read does not wait for the state machine",
    layer,
    edits: [
      {
        file: "kvserver/appliedState.ts",
        from: "if (index <= this.reached) serve();",
        to: "if (index >= 0) serve();",
      },
    ],
  },
  {
    name: "waiter takes any entry for its own",
    breaks: "a write is acknowledged when another leader's entry is applied at its index",
    layer,
    edits: [
      {
        file: "kvserver/waitApplyCh.ts",
        from: "if (waiter?.term === term) waiter.applied(result);",
        to: "if (waiter !== undefined) waiter.applied(result);",
      },
    ],
  },
  {
    name: "replies before the disk, in the driver",
    breaks: "what must wait for a save leaves with the rest",
    layer,
    edits: [
      {
        file: "raft/raft.ts",
        from: "this.held.behindNewSave(messages);",
        to: "this.held.behindNewSave({ requests: messages.requests, replies: [] });\n      for (const reply of messages.replies) this.answer(reply);",
      },
    ],
  },
  {
    name: "log never synced",
    breaks: "what was written counts as durable",
    layer: "storage",
    edits: [
      { file: "raft/persister/groupCommit.ts", from: "file.dataSyncSync();", to: "" },
      { file: "raft/persister/groupCommit.ts", from: "await dataSync(file);", to: "await null;" },
    ],
  },
  {
    name: "torn tail left in place",
    breaks: "what a crash tore off the log is not erased, and may be read later",
    layer: "storage",
    edits: [
      {
        file: "raft/persister/logRecovery.ts",
        from: "if (torn !== null) await this.cut(torn, names);",
        to: "",
      },
    ],
  },
  {
    name: "snapshot chunk in the wrong place",
    breaks: "a chunk that comes twice is written twice",
    layer,
    edits: [
      {
        file: "raft/snapshotReceiver.ts",
        from: "if (chunk.offset !== writer.size || writer.size + chunk.data.length > partial.totalSize)",
        to: "if (writer.size + chunk.data.length > partial.totalSize)",
      },
    ],
  },
];
