import {
  GetReplyCodec,
  kvServerRpcDescriptor,
  kvServerRpcMethods,
  type raftKVRpcProctoc,
} from "../proto/index.js";
import type { Codec } from "../rpc/service.js";
import { withMethods } from "../rpc/withMethods.js";

type Reply = raftKVRpcProctoc.GetReply;
type ReplyFields = raftKVRpcProctoc.GetReply.$Properties;

/** Field tags: number * 8 + wire type. */
const errTag = 10;
const valueTag = 18;
const leaderHintTag = 24;

/** GetReply as protobufjs writes it; but a large value is sent from where it lies. */
export const getReplyCodec: Codec<Reply, ReplyFields> = {
  encode({ Err, Value, LeaderHint }, writer) {
    if (isGiven(Err)) writer.uint32(errTag).bytes(Err);
    if (isGiven(Value)) writer.uint32(valueTag).lend(Value);
    if (LeaderHint) writer.uint32(leaderHintTag).int32(LeaderHint);
  },
  decode: (bytes) => GetReplyCodec.decode(bytes),
};

function isGiven(bytes: Uint8Array | null | undefined): bytes is Uint8Array {
  return bytes !== null && bytes !== undefined && bytes.length > 0;
}

/** kvServerRpc with the codec above. */
export const kvService = withMethods(kvServerRpcDescriptor, [
  { ...kvServerRpcMethods.Get, response: getReplyCodec },
]);
