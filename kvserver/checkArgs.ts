import { replicated } from "../config/options.js";
import { opAppend, opPut, type PutAppendArgs } from "../proto/kvCodecs.js";
import { equalBytes } from "./equalBytes.js";

/** Which operation `PutAppendArgs.Op` names, or null. */
export function operationOf(op: Uint8Array): "Put" | "Append" | null {
  if (equalBytes(op, opPut)) return "Put";
  return equalBytes(op, opAppend) ? "Append" : null;
}

/*
 * Each check returns what is wrong with a request, in words for its caller, or null. They look at
 * nothing but the request, so that a node's state never decides whether a request is well formed.
 */

export function checkKey(key: Uint8Array, keyBytesMax: number): string | null {
  if (key.length <= keyBytesMax) return null;
  return `the key has ${key.length} bytes; keyBytesMax is ${keyBytesMax}`;
}

export function checkClientId(clientId: Uint8Array): string | null {
  if (clientId.length <= replicated.clientIdBytesMax) return null;
  return `the ClientId has ${clientId.length} bytes; the limit is ${replicated.clientIdBytesMax}`;
}

/** What replicas of the original would leave out: they keep the last id of each ClientId, from 0. */
export function checkForOriginals(args: PutAppendArgs): string | null {
  if (args.ClientId.length === 0) return "beside nodes of the original a write needs a ClientId";
  return args.RequestId > 0 ? null : "beside nodes of the original RequestId counts from 1";
}

export function checkPutAppend(args: PutAppendArgs, keyBytesMax: number): string | null {
  const { RequestId: id, FirstUnfinished: first } = args;
  if (operationOf(args.Op) === null) return 'Op is neither "Put" nor "Append"';
  if (args.Value.length > replicated.valueBytesMax)
    return `the value has ${args.Value.length} bytes; the limit is ${replicated.valueBytesMax}`;
  if (id < 0 || first < 0) return "RequestId or FirstUnfinished is negative";
  if (first > 0 && id >= first + replicated.sessionWindowMax)
    return `RequestId ${id} is ${replicated.sessionWindowMax} or more past FirstUnfinished ${first}`;
  return checkKey(args.Key, keyBytesMax) ?? checkClientId(args.ClientId);
}
