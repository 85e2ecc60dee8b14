/** The values of the `Err` field; the first three are the original's. */
export const Err = {
  ok: "OK",
  noKey: "ErrNoKey",
  wrongLeader: "ErrWrongLeader",
  /** The client's session was dropped; nothing was done. */
  sessionExpired: "ErrSessionExpired",
  /** An Append would have made the value larger than any value may be; nothing was done. */
  valueTooLarge: "ErrValueTooLarge",
} as const;

export type Err = (typeof Err)[keyof typeof Err];

const encoder = new TextEncoder();
const bytesByErr = new Map<Err, Uint8Array>(
  Object.values(Err).map((err) => [err, encoder.encode(err)]),
);

export function errBytes(err: Err): Uint8Array {
  return bytesByErr.get(err)!;
}

/** One for all writes with the same outcome: nobody changes them. */
const replyByErr = new Map<Err, object>(
  Object.values(Err).map((err) => [err, Object.freeze({ Err: errBytes(err), LeaderHint: 0 })]),
);

/** How a write is answered by the node that applied it. */
export function writeReply(err: Err): object {
  return replyByErr.get(err)!;
}
