import { kvServerRpcDescriptor } from "../proto/index.js";
import { getMethod, putAppendMethod } from "../proto/kvCodecs.js";
import { withMethods } from "../rpc/withMethods.js";

/** kvServerRpc with the codecs of `kvCodecs.ts`. */
export const kvService = withMethods(kvServerRpcDescriptor, [putAppendMethod, getMethod]);
