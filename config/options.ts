/**
 * Every default and limit, with its unit last in the name. Each object is a default that callers
 * spread over: `{ ...rpcDefaults, frameBytesMax: 1 << 20 }`.
 */

const KiB = 1024;
const MiB = 1024 * KiB;
const minuteMs = 60_000;

/** Bounds of the RPC layer, on both sides of a connection. */
export interface RpcOptions {
  /** Bytes of one RpcHeader; a larger one ends the connection. */
  readonly headerBytesMax: number;
  /** Bytes of one request's arguments. */
  readonly requestBytesMax: number;
  /** Bytes of one reply message. */
  readonly replyBytesMax: number;
  /**
   * Connections that a provider holds at once; further ones are reset, but for callers of essential
   * services. A node holds no more than the files that it may open leave room for.
   */
  readonly connectionsMax: number;
  /** Calls in flight on one connection; a provider stops reading beyond it, a channel queues. */
  readonly callsInFlightMax: number;
  /** Calls in flight in a provider, of all connections together; further ones are refused. */
  readonly callsInFlightTotalMax: number;
  /** Calls that a channel holds while its window is full; further ones fail. */
  readonly callsQueuedMax: number;
  /** Bytes written to a connection and not yet taken by the kernel; a provider stops reading. */
  readonly outputBytesMax: number;
  /** Streams open on one connection; further ones fail. In a channel each is a call in flight. */
  readonly streamsMax: number;
  /** Bytes of one stream that a server may send ahead of what the caller has taken; up to 2^31-1. */
  readonly streamWindowBytes: number;
  /** From the first byte of a request, or of a reply of revision 2, to its last. */
  readonly frameTimeoutMs: number;
  /** How long a peer may take nothing of the output that waits for it before it is let go. */
  readonly slowReaderTimeoutMs: number;
  /** From the attempt to connect to its success, the TLS handshake included. */
  readonly connectTimeoutMs: number;
  /** How long a provider waits for a caller's TLS handshake. */
  readonly tlsHandshakeTimeoutMs: number;
  /** Deadline of a call that names none. */
  readonly callTimeoutMs: number;
  /** Silence after which a peer of revision 2 is pinged; 0: never. Both sides do it. */
  readonly keepaliveMs: number;
  /** Silence after a ping that means that the peer is gone. */
  readonly keepaliveTimeoutMs: number;
  /** A channel closes its connection when it made no call for this long; 0: never. */
  readonly idleTimeoutMs: number;
  /** A provider lets a caller of revision 2 go that made no call for this long; 0: never. */
  readonly callerIdleTimeoutMs: number;
  /** The same for a caller of revision 1, which notices only at its next call; 0: never. */
  readonly revision1IdleTimeoutMs: number;
  /** How long one that closed its half still gets the replies to what it has asked. */
  readonly halfClosedTimeoutMs: number;
  /** As `callerIdleTimeoutMs`, for a connection on which not one request has come; 0: never. */
  readonly firstRequestTimeoutMs: number;
  /** Waits between attempts to connect: exponential with full jitter between these. */
  readonly backoffMsMin: number;
  readonly backoffMsMax: number;
}

export const rpcDefaults: RpcOptions = {
  headerBytesMax: 16 * KiB,
  requestBytesMax: 4 * MiB + 64 * KiB,
  replyBytesMax: 17 * MiB,
  connectionsMax: 16_384,
  callsInFlightMax: 1024,
  callsInFlightTotalMax: 65_536,
  callsQueuedMax: 65_536,
  outputBytesMax: 16 * MiB,
  streamsMax: 512,
  streamWindowBytes: 64 * KiB,
  frameTimeoutMs: 30_000,
  slowReaderTimeoutMs: 30_000,
  connectTimeoutMs: 2_000,
  tlsHandshakeTimeoutMs: 5_000,
  callTimeoutMs: 30_000,
  keepaliveMs: 10_000,
  keepaliveTimeoutMs: 5_000,
  idleTimeoutMs: 30 * minuteMs,
  callerIdleTimeoutMs: 60 * minuteMs,
  revision1IdleTimeoutMs: 0,
  halfClosedTimeoutMs: 30_000,
  // As long as for the others: a node of a cluster may connect long before it has something to say.
  firstRequestTimeoutMs: 60 * minuteMs,
  backoffMsMin: 10,
  backoffMsMax: 1_000,
};

/** Timing and bounds of consensus. The times are the original's defaults. */
export interface RaftOptions {
  readonly heartbeatMs: number;
  /** Drawn anew for each election, uniformly from [Min, Max]. */
  readonly electionTimeoutMsMin: number;
  readonly electionTimeoutMsMax: number;
  /** Entries and bytes of one AppendEntries; a single larger entry goes alone. */
  readonly appendEntriesMax: number;
  readonly appendBytesMax: number;
  /**
   * AppendEntries that may be unanswered at one follower, and the bytes in them; with as many waiting
   * for the leader's own disk, nothing new is sent either.
   */
  readonly inflightMax: number;
  readonly inflightBytesMax: number;
  /** Bytes proposed and not yet committed; further proposals are refused. */
  readonly uncommittedBytesMax: number;
  /**
   * How a read is made linearizable. "readIndex": a majority confirms, after the read came, that
   * this node leads; no clock matters. "lease": a majority's answer to a heartbeat confirms the
   * reads of the following `electionTimeoutMsMin / (1 + leaseClockDriftPpmMax / 1e6)`. That is
   * right only while the nodes' clocks keep to that bound and never stand still while their process
   * runs on or its machine sleeps. All nodes of a cluster must be set alike.
   */
  readonly readMode: "readIndex" | "lease";
  /** By how much the rates of two nodes' clocks may differ, in millionths. */
  readonly leaseClockDriftPpmMax: number;
  /** Deadline of one AppendEntries or RequestVote. */
  readonly peerCallTimeoutMs: number;
  readonly snapshotChunkBytes: number;
  /** Deadline of one snapshot chunk on its way, but for the last. */
  readonly snapshotChunkTimeoutMs: number;
  /** Deadline of the last chunk: the follower syncs the whole snapshot and resets its log. */
  readonly snapshotInstallTimeoutMs: number;
  /** A partly received snapshot whose leader went silent is dropped after this. */
  readonly snapshotReceiveTimeoutMs: number;
  /**
   * With `commandCodec=boost`: how long after its port opened a node of the original may first be
   * sent a Raft request, which would end its process before. For node i of n it is the first time
   * and n - i times the second, unless it speaks before that.
   */
  readonly originalStartMs: number;
  readonly originalStartMsPerNode: number;
  /** Entries and bytes that wait between Raft and the state machine. */
  readonly applyEntriesMax: number;
  readonly applyBytesMax: number;
}

export const raftDefaults: RaftOptions = {
  heartbeatMs: 25,
  electionTimeoutMsMin: 300,
  electionTimeoutMsMax: 500,
  appendEntriesMax: 1024,
  appendBytesMax: 256 * KiB,
  inflightMax: 64,
  // What a leader encodes in one turn for a follower that comes back; more stalls its heartbeats.
  inflightBytesMax: 4 * MiB,
  uncommittedBytesMax: 64 * MiB,
  readMode: "readIndex",
  // Twenty times what the kernel's slewing (500 ppm) may do to two clocks.
  leaseClockDriftPpmMax: 20_000,
  peerCallTimeoutMs: 1_000,
  snapshotChunkBytes: 256 * KiB,
  snapshotChunkTimeoutMs: 10_000,
  snapshotInstallTimeoutMs: 120_000,
  snapshotReceiveTimeoutMs: 60_000,
  originalStartMs: 6_150,
  originalStartMsPerNode: 1_000,
  applyEntriesMax: 8192,
  applyBytesMax: 16 * MiB,
};

/** The data directory. */
export interface StorageOptions {
  /** Bytes of one log segment, filled with zeros before use. */
  readonly segmentBytes: number;
  /** Bytes of one log record; a larger one found on disk is damage. */
  readonly recordBytesMax: number;
  /**
   * Bytes of the file system kept free of clients' writes: with less than this a node refuses them
   * and hands leadership over, until a quarter more is free again. 0: never; otherwise at least two
   * segments, which the log takes at once.
   */
  readonly diskReserveBytes: number;
}

export const storageDefaults: StorageOptions = {
  segmentBytes: 16 * MiB,
  recordBytesMax: 32 * MiB,
  diskReserveBytes: 64 * MiB,
};

/** How the data directory is written; nothing that shows on disk. */
export interface StorageTuning {
  /**
   * A batch takes in no more once it holds this much: so a flood of large entries shows, sync by
   * sync, that the disk still works.
   */
  readonly batchBytesMax: number;
  /** A buffer for a batch that grew beyond this is not kept for the next one. */
  readonly bufferBytesKept: number;
  /**
   * A segment is filled with zeros before use while batches are no larger than this, on average:
   * beyond it the zeros cost more than they save.
   */
  readonly filledBatchBytesMax: number;
  /** A batch of more bytes is written beside the event loop rather than in it. */
  readonly writeInlineBytesMax: number;
  /**
   * The event loop waits for a sync while batches are no larger than this and syncs no slower, on
   * average; beyond it the sync runs beside it.
   */
  readonly syncInlineEntriesMax: number;
  readonly syncInlineBytesMax: number;
  readonly syncInlineMsMax: number;
  /** Batches until waiting is tried again after it took too long. */
  readonly syncRetryBatches: number;
  /**
   * Least time between two notes of how far the log is synced. What came since the last one can't be
   * told from a torn write when it is damaged.
   */
  readonly syncMarkMs: number;
  /** Between two looks at how much of the disk is free; there is one before each new file, too. */
  readonly spaceCheckMs: number;
  /** Bytes of a snapshot gathered before they are written, while writes come back soon. */
  readonly snapshotBufferBytes: number;
  /** And at most: twice as many after each write that came back later than `snapshotWriteMsMax`. */
  readonly snapshotBufferBytesMax: number;
  readonly snapshotWriteMsMax: number;
  /** Bytes of a snapshot written between two syncs. */
  readonly snapshotSyncBytes: number;
}

export const storageTuningDefaults: StorageTuning = {
  batchBytesMax: 2 * MiB,
  // A batch that is full, and the entry with which it became so.
  bufferBytesKept: 2.5 * MiB,
  filledBatchBytesMax: 256 * KiB,
  writeInlineBytesMax: 1 * MiB,
  syncInlineEntriesMax: 8,
  syncInlineBytesMax: 64 * KiB,
  syncInlineMsMax: 2,
  syncRetryBatches: 500,
  syncMarkMs: 100,
  spaceCheckMs: 1_000,
  // One chunk of a state: each goes to the disk before the next is gathered, and the loop turns.
  snapshotBufferBytes: 64 * KiB,
  snapshotBufferBytesMax: 1 * MiB,
  snapshotWriteMsMax: 4,
  snapshotSyncBytes: 2 * MiB,
};

/** The key-value service. */
export interface KvOptions {
  /**
   * Bytes of log after which a snapshot is taken, or half of the state's where that is more;
   * -1: never (the original's `maxRaftState`).
   */
  readonly snapshotLogBytes: number;
  /**
   * Where entries have 32 KiB and more on average, a snapshot is put off until the log has twice the
   * bytes of the state, or so many as this, but at least what is said above.
   */
  readonly snapshotLogBytesMax: number;
  /** Entries kept before a snapshot, so that a follower a little behind needs none. */
  readonly trailingEntries: number;
  /** How long a revision-1 client waits for its put before it is told ErrWrongLeader. */
  readonly consensusTimeoutMs: number;
  /**
   * Bytes of one reply to a revision-1 client. The original's reads 1,024; what is left over it
   * takes for the reply to its next call.
   */
  readonly revision1ReplyBytesMax: number;
  /** Bytes of one key. */
  readonly keyBytesMax: number;
  /** Which encoding new log entries have; both are read. */
  readonly commandCodec: "compact" | "boost";
}

export const kvDefaults: KvOptions = {
  // All of it is in memory too, and is replayed after a restart.
  snapshotLogBytes: 16 * MiB,
  snapshotLogBytesMax: 256 * MiB,
  trailingEntries: 10_000,
  consensusTimeoutMs: 500,
  revision1ReplyBytesMax: 1024,
  keyBytesMax: 64 * KiB,
  commandCodec: "compact",
};

/**
 * Options of which some are given. Beside nodes of the original (`commandCodec` "boost") no snapshot
 * is taken unless it is asked for: such a node can load none, and must be served from the log.
 */
export function kvOptionsOf(given: Partial<KvOptions>): KvOptions {
  const wholeLog = given.commandCodec === "boost" ? { snapshotLogBytes: -1 } : {};
  return { ...kvDefaults, ...wholeLog, ...given };
}

/**
 * Bounds that every replica applies to the same log and that must therefore be equal on all of
 * them: constants, not options.
 */
export const replicated = {
  /** Bytes of one value; an Append that would pass it is refused when it is applied. */
  valueBytesMax: 16 * MiB,
  /** Sessions kept; beyond it the one idle for longest is dropped. */
  sessionsMax: 100_000,
  /** A session idle for this long, by the log's own clock, is dropped. */
  sessionIdleMsMax: 3_600_000,
  /** Requests that one session may have in flight: ids from its first unfinished one. */
  sessionWindowMax: 8192,
  /** Sessions that one command may drop for their age, so that no single one takes long. */
  sessionDropsPerCommandMax: 64,
  /** Bytes of a client's id. */
  clientIdBytesMax: 256,
  /** Bytes of a session's name: a client's id, and for revision 1 what tells processes apart. */
  sessionNameBytesMax: 256 + 19,
  /** Bytes of a key that a log entry may carry; `KvOptions.keyBytesMax` is stricter. */
  keyBytesMax: 4 * MiB,
} as const;

/** The client. */
export interface ClerkOptions {
  /** Deadline of a call that names none. */
  readonly timeoutMs: number;
  /** Deadline of one attempt at one node, within the call's own. */
  readonly attemptTimeoutMs: number;
  /**
   * How long no node may answer while calls wait at the one that is believed to lead, before the
   * others are asked whether they do; `Infinity`: for `attemptTimeoutMs`.
   */
  readonly silenceMs: number;
  /** Waits between attempts after a whole round of nodes failed. */
  readonly backoffMsMin: number;
  readonly backoffMsMax: number;
  /** Calls in flight on one Clerk; further ones wait in order. */
  readonly callsInFlightMax: number;
  readonly callsQueuedMax: number;
}

export const clerkDefaults: ClerkOptions = {
  timeoutMs: 30_000,
  attemptTimeoutMs: 2_000,
  silenceMs: 100,
  backoffMsMin: 5,
  backoffMsMax: 250,
  callsInFlightMax: 1024,
  callsQueuedMax: 65_536,
};

/** Bytes of a node list; a larger file is none. */
export const nodeListBytesMax = 1 * MiB;

/** What a node of the original takes, as another node of the cluster. */
export const originalNodes = {
  /** Bytes of the entries in one AppendEntries, but for a single larger one. */
  appendBytesMax: 50_000,
  /** Of them, what fits into one segment of most networks with the request around it. */
  appendBytesSafe: 1_300,
  /**
   * How long its answer may take, in ms: it may have dropped the request, and campaigns 300 ms after
   * the last one that it took.
   */
  callTimeoutMs: 200,
  /** Bytes of one of its requests, which ours take unless `requestBytesMax` is set. */
  requestBytesMax: 32 * MiB - 64 * KiB,
  /** Bytes of one command: with a request around it, it must stay below 60,000. */
  commandBytesMax: 59_500,
  /** Of the longest pause between two AppendEntries, in ms; its election timeout is 300 to 500. */
  heartbeatMsMax: 100,
} as const;

/** What the Clerk knows of a request's size before it is encoded. */
export const clerkLimits = {
  /** Everything in a request but key and value: tags, lengths, ids, the RpcHeader. */
  requestOverheadBytes: 256,
  /** A node of the original never takes a larger request. */
  revision1RequestBytesMax: 60_000,
} as const;
/** What the RPC layer holds to without being asked: bounds that no deployment needs to tune. */
export const rpcLimits = {
  /** Connections that wait to be accepted; the system may allow fewer (`net.core.somaxconn`). */
  backlogConnectionsMax: 4_096,
  /** Connections beyond `connectionsMax`, for callers of essential services. */
  essentialConnectionsMax: 64,
  /** Tasks run at the end of one turn of the event loop before the sockets get their share. */
  turnTasksMax: 16_384,
  /** Requests of one connection after which the others, and the timers, get their share. */
  requestsPerTurnMax: 1024,
  /** Bytes of a turn's output that go out before its end. */
  flushBytes: 16 * KiB,
  /** Bytes of a value that is written from where it lies; copying a smaller one costs less. */
  lentBytesMin: 32 * KiB,
  /** Bytes of one write to a socket of revision 2; while the peer is slow, each must be taken. */
  socketWriteBytesMax: 1 * MiB,
  /** Bytes not yet taken by the kernel at which streams wait, so that replies needn't behind them. */
  streamOutputBytesMax: 1 * MiB,
  /** Of what many connections come to at one moment, how much runs in a turn of the event loop. */
  pacedTasksPerTurn: 64,
  /** Messages of one stream after which the others, and the sockets, get their share. */
  streamMessagesPerTurn: 64,
  /** Bytes of an output buffer to begin with; ten thousand replies of one turn take as many buffers. */
  outputBufferBytes: 1 * KiB,
  /** Bytes of output buffers kept for the next turn, of all connections together. */
  outputPoolBytesMax: 8 * MiB,
  /** Bytes first set aside for a message that arrives in pieces; more only as more arrives. */
  gatherBytesMin: 256,
  /** Up to the size that was announced: bytes set aside for each that has arrived. */
  gatherAheadMax: 4,
  /** Least time between two looks for calls whose deadline passed. */
  deadlineScanMs: 1,
  /** How long a closing provider waits for calls in flight unless it is told otherwise. */
  closeGraceMs: 5_000,
  /** Silence after which the kernel probes whether the other machine is still there. */
  tcpKeepAliveMs: 15_000,
  /** How long a caller that was told of the end may take to hang up before it is hung up on. */
  goAwayLingerMs: 500,
  /** Connections of one channel that take no more calls and wait for replies; the oldest then ends. */
  retiredConnectionsMax: 16,
  /** Bytes of one file of TLS certificates or keys; all authorities of the web take a quarter. */
  tlsFileBytesMax: 1 * MiB,
  /** Bytes of JSON that mprpc-call takes from its standard input as one request. */
  requestJsonBytesMax: 16 * MiB,
} as const;
