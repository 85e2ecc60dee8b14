/** What a TLS error says: OpenSSL's own texts are full of addresses and places in its source. */
export function tlsErrorText(error: Error): string {
  const reason: unknown = Reflect.get(error, "reason");
  return typeof reason === "string" && reason !== "" ? reason : error.message;
}

/** Whether the other side of a failed handshake may not have spoken TLS at all. */
export function maybePlain(error: Error): boolean {
  const code: unknown = Reflect.get(error, "code");
  return code === "ECONNRESET" || code === "ERR_SSL_WRONG_VERSION_NUMBER";
}

/**
 * Whether `chunk`, the first of a connection, is the beginning of a TLS handshake. No RpcHeader
 * is: 22 bytes of header would begin with field 0.
 */
export function isTlsHello(chunk: Uint8Array): boolean {
  return chunk[0] === 0x16 && chunk[1] === 0x03;
}

/**
 * Whether `chunk`, the first of a connection, is a TLS alert, with which a TLS server may answer
 * a plain request. No message is: after a fixed32 of field 2 there would come field 0.
 */
export function isTlsAlert(chunk: Uint8Array): boolean {
  return (
    chunk.length === 7 &&
    chunk[0] === 0x15 &&
    chunk[1] === 0x03 &&
    chunk[3] === 0 &&
    chunk[4] === 2 &&
    chunk[5]! <= 2
  );
}
