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
