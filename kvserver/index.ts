export { KvServer, type KvServerConfig } from "./kvServer.js";
export { KvNode, type NodeConfig } from "./node.js";
export { SkipList, type KeyValue } from "./skipList.js";
export { KvStateMachine, type ApplyResult } from "./stateMachine.js";
