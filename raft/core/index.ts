export { InvariantError } from "./invariant.js";
export { askForTerm } from "./joining.js";
export type { LeaseRead } from "./lease.js";
export type { FollowerStatus } from "./leader.js";
export type { CoreOptions, CoreStart, ProposeResult } from "./coreOptions.js";
export { RaftCore } from "./raftCore.js";
export { entryBytes, entryOverheadBytes } from "./raftLog.js";
export type * from "./types.js";
