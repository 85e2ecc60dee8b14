function varint(value: number): number[] {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...varint(value >>> 7)];
}

function field(number: number, bytes: Buffer): Buffer {
  return Buffer.concat([Buffer.from([(number << 3) | 2, ...varint(bytes.length)]), bytes]);
}

/** A request of revision 1, written by hand: varint32 header size, RpcHeader, arguments. */
export function requestFrame(service: string, method: string, args: Buffer): Buffer {
  const argsSize = args.length === 0 ? [] : [0x18, ...varint(args.length)];
  const header = Buffer.concat([
    field(1, Buffer.from(service)),
    field(2, Buffer.from(method)),
    Buffer.from(argsSize),
  ]);
  return Buffer.concat([Buffer.from(varint(header.length)), header, args]);
}
