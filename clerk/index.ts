export {
  Clerk,
  type CallOptions,
  type ClerkNode,
  type ClerkNodes,
  type ClerkSettings,
  type NodeStatus,
  type StatusOptions,
} from "./clerk.js";
export { ClerkError, clerkErrorCodes, type ClerkErrorCode } from "./errors.js";
export { RaftServerRpcUtil } from "./raftServerRpcUtil.js";
export type { PeerStatus, ServerNode, ServerStatus } from "./serverNode.js";
