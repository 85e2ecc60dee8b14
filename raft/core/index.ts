export { InvariantError } from "./invariant.js";
export type { FollowerStatus } from "./leader.js";
export { RaftCore, type CoreOptions, type CoreStart, type ProposeResult } from "./raftCore.js";
export { entryBytes, entryOverheadBytes } from "./raftLog.js";
export type * from "./types.js";
