import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { RpcReplyHeaderCodec, type RpcHeader, type RpcReplyHeader } from "../../proto/index.js";
import { ByteWriter, RpcError, RpcStatus, type Codec } from "../../rpc/index.js";
import { FrameReader } from "../../rpc/frameReader.js";
import {
  ReplyFramer,
  ReplyHeader,
  RequestFramer,
  RequestHeader,
  writeCancel,
  writeControl,
  writeCredit,
  writeReplyControl,
  writeStatus,
  type FrameHeader,
} from "../../rpc/framing.js";
import { LegacyReplyReader } from "../../rpc/legacyReplyReader.js";
import { bytes, frame, hex } from "./support.js";

const limits = { headerBytesMax: 16_384, bodyBytesMax: 1 << 20 };

/** A message that is its own bytes. */
const raw: Codec<Uint8Array> = {
  encode: (message, writer) => void writer.raw(message),
  decode: (message) => message,
};

function method(serviceName: string, name: string) {
  return { serviceName, name, index: 0, request: raw, response: raw };
}

interface Vector {
  readonly name: string;
  readonly service: string;
  readonly method: string;
  readonly argsHex: string;
  /** The whole frame: in frames.json, and in wire.json. */
  readonly hex: string;
  readonly requestHex: string;
}
function vectors(file: string): readonly Vector[] {
  const content = readFileSync(`test/interop/vectors/${file}.json`, "utf8");
  return (JSON.parse(content) as { vectors: Vector[] }).vectors;
}

/** As text: comparing large buffers byte by byte takes far longer than making them. */
const latin1 = (value: Uint8Array): string => Buffer.from(value).toString("latin1");
function expectBytes(actual: Buffer, expected: Buffer): void {
  expect(latin1(actual)).toBe(latin1(expected));
}

/** A reader that notes what comes out of it. */
function collector<Header extends FrameHeader>(
  header: Header,
  mark: boolean,
  describeFrame: (header: Header) => unknown,
  readerLimits = limits,
) {
  const frames: { header: unknown; body: string }[] = [];
  const oversized: unknown[] = [];
  const garbage: string[] = [];
  const reader = new FrameReader(header, mark, readerLimits, {
    onFrame: (found, chunk, start, end) =>
      frames.push({ header: describeFrame(found), body: latin1(chunk.subarray(start, end)) }),
    onOversized: (found) => oversized.push(describeFrame(found)),
    onGarbage: (reason) => garbage.push(reason),
  });
  return { reader, frames, oversized, garbage };
}

const requests = (readerLimits = limits) =>
  collector(
    new RequestHeader(),
    false,
    ({ serviceName, methodName, callId, timeoutMs, metadata, flags, credit }) => ({
      serviceName,
      methodName,
      callId,
      timeoutMs,
      metadata,
      flags,
      credit,
    }),
    readerLimits,
  );

const replies = (readerLimits = limits) =>
  collector(
    new ReplyHeader(),
    true,
    ({ callId: id, status, errorText, metadata: entries, flags, details: items }) => ({
      callId: id,
      status,
      errorText,
      metadata: entries,
      flags,
      details: items,
    }),
    readerLimits,
  );

const metadata = fc.array(
  fc.record({ key: fc.string({ unit: "grapheme-ascii" }), value: fc.uint8Array() }),
  { maxLength: 3 },
);
const name = fc.string({ unit: "grapheme-ascii", minLength: 1, maxLength: 40 });
const callId = fc.oneof(
  fc.integer({ min: 1, max: 5000 }),
  fc.integer({ min: 1, max: 2 ** 53 - 1 }),
);
const details = fc.array(
  fc.record({ type: fc.string({ unit: "grapheme" }), value: fc.uint8Array() }),
  { maxLength: 3 },
);
const uint32 = fc.oneof(fc.constant(0), fc.nat(31), fc.nat(0xffff_ffff));
const body = fc.oneof(
  fc.uint8Array({ maxLength: 40 }),
  fc.integer({ min: 0, max: 40_000 }).map((size) => new Uint8Array(size).fill(size % 251)),
);

/** Cuts a stream at random places, some of them next to each other. */
const cuts = fc.array(fc.nat(1 << 17), { maxLength: 40 });
function* pieces(stream: Buffer, places: readonly number[]): Generator<Buffer> {
  let start = 0;
  for (const place of places.map((at) => at % (stream.length + 1)).sort((a, b) => a - b)) {
    yield stream.subarray(start, place);
    start = place;
  }
  yield stream.subarray(start);
}

function replyFrame(header: RpcReplyHeader.$Properties, reply: Uint8Array) {
  const encoded = new ByteWriter();
  RpcReplyHeaderCodec.encode({ ...header, reply_size: reply.length }, encoded);
  return new ByteWriter().byte(0).bytes(encoded.finish()).raw(reply).finish();
}

describe("requests", () => {
  test.each(vectors("frames").map((vector) => [vector.name, vector] as const))(
    "vector: %s",
    (_name, vector) => {
      const writer = new ByteWriter();
      const framer = new RequestFramer(method(vector.service, vector.method));
      // The second one finds the first one's size remembered; neither may depend on it.
      framer.write(writer, hex(vector.argsHex), 0, 0, [], limits);
      framer.write(writer, hex(vector.argsHex), 0, 0, [], limits);
      expect(writer.finish().toString("hex")).toBe(vector.hex + vector.hex);
    },
  );

  test("live traffic of the original is read as what it says", () => {
    for (const vector of vectors("wire")) {
      const { reader, frames, garbage } = requests();
      reader.push(hex(vector.requestHex));
      expect(garbage).toEqual([]);
      expect(frames).toHaveLength(1);
      expect(frames[0]!.header).toMatchObject({
        serviceName: vector.service,
        methodName: vector.method,
        callId: 0,
      });
    }
  });

  test("written by hand they are what protobuf writes", () => {
    fc.assert(
      fc.property(
        name,
        name,
        fc.array(fc.tuple(callId, uint32, metadata, body, uint32, uint32), { maxLength: 5 }),
        (service, methodName, calls) => {
          const framer = new RequestFramer(method(service, methodName));
          const writer = new ByteWriter(1);
          const expected: Buffer[] = [];
          for (const [id, timeoutMs, entries, args, flags, credit] of calls) {
            framer.write(writer, args, id, timeoutMs, entries, limits, flags, credit);
            const header: RpcHeader.$Properties = {
              service_name: bytes(service),
              method_name: bytes(methodName),
              call_id: id,
              timeout_ms: timeoutMs,
              metadata: [...entries],
              flags,
              credit,
            };
            expected.push(frame(header, args));
          }
          expectBytes(writer.finish(), Buffer.concat(expected));
        },
      ),
    );
  });

  test("however the stream is split, the same frames come out", () => {
    const call = fc.record({
      service: name,
      method: name,
      callId: fc.oneof(fc.constant(0), callId),
      timeoutMs: fc.nat(0xffff_ffff),
      metadata,
      flags: uint32,
      credit: uint32,
      args: body,
    });
    fc.assert(
      fc.property(fc.array(call, { maxLength: 5 }), cuts, (calls, places) => {
        const stream = Buffer.concat(
          calls.map(({ service, method: methodName, timeoutMs, args, ...rest }) =>
            frame(
              {
                service_name: bytes(service),
                method_name: bytes(methodName),
                call_id: rest.callId,
                timeout_ms: timeoutMs,
                metadata: rest.metadata,
                flags: rest.flags,
                credit: rest.credit,
              },
              args,
            ),
          ),
        );
        const { reader, frames, garbage } = requests();
        for (const piece of pieces(stream, places)) reader.push(piece);
        expect(garbage).toEqual([]);
        expect(reader.midFrame).toBe(false);
        expect(frames).toEqual(
          calls.map(({ service, method: methodName, args, ...header }) => ({
            header: {
              ...header,
              serviceName: service,
              methodName,
              metadata: header.metadata.map(({ key, value }) => ({
                key,
                value: Buffer.from(value),
              })),
            },
            body: latin1(args),
          })),
        );
      }),
    );
  });

  test("fields that nobody knows are skipped, groups included", () => {
    const header = Buffer.concat([
      hex("0a0161"), // service_name "a"
      hex("f80601"), // 111: varint
      hex("f906" + "00".repeat(8)), // 111: fixed64
      hex("fa0603616263"), // 111: bytes
      hex("fb06080108021b1cfc06"), // 111: a group with fields and a group in it
      hex("fd0600000000"), // 111: fixed32
      hex("f806ffffffffffffffffff01"), // 111: a varint of 64 bits
      hex("120162"), // method_name "b"
    ]);
    const { reader, frames } = requests();
    reader.push(new ByteWriter().bytes(header).finish());
    expect(frames[0]!.header).toMatchObject({ serviceName: "a", methodName: "b" });
  });

  test.each([
    ["a field number 0", "020001"],
    ["an unknown wire type", "010f"],
    ["a length beyond the header", "030a7f61"],
    ["an endless varint", "0cf806ffffffffffffffffffff"],
    ["an id beyond the safe integers", "0a20808080808080808001"],
    ["groups without end", "027b7b"],
  ])("garbage in a header ends it: %s", (_name, sent) => {
    const { reader, frames, garbage } = requests();
    reader.push(hex(sent));
    reader.push(frame({ service_name: bytes("s"), method_name: bytes("m") }));
    expect(garbage).toHaveLength(1);
    expect(frames).toEqual([]);
  });

  test("any garbage either makes frames or ends it, and never more", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), cuts, (stream, places) => {
        const { reader, garbage } = requests({ headerBytesMax: 100, bodyBytesMax: 100 });
        for (const piece of pieces(Buffer.from(stream), places)) reader.push(piece);
        expect(garbage.length).toBeLessThanOrEqual(1);
      }),
    );
  });

  test("a header over the limit is garbage as soon as its size is known", () => {
    const { reader, garbage } = requests();
    reader.push(new ByteWriter().uint32(limits.headerBytesMax + 1).finish());
    expect(garbage).toHaveLength(1);
  });

  test("arguments over the limit are skipped, and what follows is read", () => {
    fc.assert(
      fc.property(cuts, fc.integer({ min: 101, max: 5000 }), (places, size) => {
        const header = { service_name: bytes("s"), method_name: bytes("m") };
        const stream = Buffer.concat([
          frame({ ...header, call_id: 1 }, new Uint8Array(100)),
          frame({ ...header, call_id: 2 }, new Uint8Array(size)),
          frame({ ...header, call_id: 3 }, new Uint8Array(100)),
        ]);
        const found = requests({ headerBytesMax: 100, bodyBytesMax: 100 });
        for (const piece of pieces(stream, places)) found.reader.push(piece);
        expect(found.frames.map(({ header: seen }) => seen)).toMatchObject([
          { callId: 1 },
          { callId: 3 },
        ]);
        expect(found.oversized).toMatchObject([{ callId: 2 }]);
      }),
    );
  });

  test("while it is paused nothing comes out; afterwards all does", () => {
    const { reader, frames } = requests();
    const one = frame({ service_name: bytes("s"), method_name: bytes("m") }, bytes("args"));
    reader.push(one.subarray(0, 7));
    reader.pause();
    reader.push(Buffer.concat([one.subarray(7), one]));
    reader.push(one);
    expect(frames).toHaveLength(0);
    reader.resume();
    expect(frames).toHaveLength(3);
  });

  test("a size that was only announced takes no memory", () => {
    const { reader } = requests({ headerBytesMax: 100, bodyBytesMax: 1 << 30 });
    const header = { service_name: bytes("s"), method_name: bytes("m"), args_size: 1 << 30 };
    const before = process.memoryUsage().arrayBuffers;
    reader.push(frame(header));
    reader.push(Buffer.from("a few bytes of a gigabyte"));
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(1 << 20);
  });

  test("a request over a limit is refused, and leaves no trace in the output", () => {
    const writer = new ByteWriter().raw(bytes("before"));
    const framer = new RequestFramer(method("s", "m"));
    const small = { headerBytesMax: 50, bodyBytesMax: 50 };
    const write = (args: number, value: number) => () =>
      framer.write(
        writer,
        new Uint8Array(args),
        1,
        0,
        [{ key: "k", value: new Uint8Array(value) }],
        small,
      );
    for (const attempt of [write(51, 0), write(0, 50)]) {
      expect(attempt).toThrow(RpcError);
      expect(attempt).toThrow(/Max/);
      expect(writer.finish().toString()).toBe("before");
    }
    write(50, 1)();
    expect(writer.length).toBeGreaterThan(50);
  });

  test("a cancel frame is a header with a flag and nothing else", () => {
    const writer = new ByteWriter();
    writeCancel(writer, 300);
    expect(writer.finish()).toEqual(frame({ call_id: 300, flags: 1 }));
  });

  test("frames without names and arguments are what protobuf writes", () => {
    fc.assert(
      fc.property(fc.oneof(fc.constant(0), callId), uint32, uint32, (id, flags, credit) => {
        const writer = new ByteWriter();
        writeControl(writer, id, flags, credit);
        writeCredit(writer, id, credit);
        const expected = [
          frame({ call_id: id, flags, credit }),
          frame({ call_id: id, flags: 8, credit }),
        ];
        expect(writer.finish()).toEqual(Buffer.concat(expected));
      }),
    );
  });

  test.each([
    ["flags", "0638ffffffff1f"],
    ["credit", "0640ffffffff1f"],
  ])("garbage in a header ends it: %s beyond 32 bits", (_name, sent) => {
    const { reader, garbage } = requests();
    reader.push(hex(sent));
    expect(garbage).toHaveLength(1);
  });
});

test("headers full of empty entries are read in a time that grows with their size alone", () => {
  const header = new RequestHeader();
  const reply = new ReplyHeader();
  const [sent, answered, detailed] = [0x32, 0x2a, 0x3a].map((tag) =>
    Buffer.alloc(1 << 14, Buffer.from([tag, 0])),
  ) as [Buffer, Buffer, Buffer];
  // Copying the list for each entry this would take minutes, and the test's time with it.
  for (let round = 0; round < 200; round++) {
    expect(header.decode(sent, 0, sent.length)).toBe(true);
    expect(reply.decode(answered, 0, answered.length)).toBe(true);
    expect(reply.decode(detailed, 0, detailed.length)).toBe(true);
  }
  expect(header.metadata).toHaveLength(1 << 13);
  expect(reply.metadata).toHaveLength(0);
  expect(reply.details).toHaveLength(1 << 13);
});

describe("replies of revision 2", () => {
  test("written by hand they are what protobuf writes", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(callId, metadata, body, uint32), { maxLength: 5 }), (sent) => {
        const framer = new ReplyFramer(raw);
        const writer = new ByteWriter(1);
        const expected: Buffer[] = [];
        for (const [id, entries, reply, flags] of sent) {
          expect(framer.write(writer, id, entries, reply, limits, flags)).toBe(reply.length);
          expected.push(replyFrame({ call_id: id, metadata: [...entries], flags }, reply));
        }
        expectBytes(writer.finish(), Buffer.concat(expected));
      }),
    );
  });

  test("frames without a message are what protobuf writes", () => {
    fc.assert(
      fc.property(fc.oneof(fc.constant(0), callId), uint32, (id, flags) => {
        const writer = new ByteWriter();
        writeReplyControl(writer, id, flags);
        expect(writer.finish()).toEqual(replyFrame({ call_id: id, flags }, new Uint8Array(0)));
      }),
    );
  });

  test("failures are what protobuf writes", () => {
    fc.assert(
      fc.property(
        callId,
        fc.constantFrom(...Object.values(RpcStatus)),
        fc.string({ unit: "grapheme" }),
        metadata,
        details,
        uint32,
        (id, status, errorText, entries, items, flags) => {
          const writer = new ByteWriter();
          const outcome = { status, errorText, metadata: entries, details: items, flags };
          writeStatus(writer, id, outcome, limits);
          const header = {
            call_id: id,
            status,
            error_text: errorText,
            metadata: [...entries],
            details: [...items],
            flags,
          };
          expect(writer.finish()).toEqual(replyFrame(header, new Uint8Array(0)));
        },
      ),
    );
  });

  test.each([
    ["metadata", 40, 20, { details: [{ type: "d" }], metadata: [] }],
    ["details", 20, 40, { details: [], metadata: [{ key: "k" }] }],
    ["both", 60, 60, { details: [], metadata: [] }],
  ])("what would pass the limit of a header is left out: %s", (_name, entry, item, expected) => {
    const writer = new ByteWriter();
    const outcome = {
      status: RpcStatus.NOT_FOUND,
      errorText: "no",
      metadata: [{ key: "k", value: new Uint8Array(entry) }],
      details: [{ type: "d", value: new Uint8Array(item) }],
    };
    writeStatus(writer, 1, outcome, { headerBytesMax: 42, bodyBytesMax: 100 });
    const { reader, frames } = replies();
    reader.push(writer.finish());
    expect(frames).toMatchObject([{ header: { errorText: "no", ...expected } }]);
  });

  test("however the stream is split, the same replies come out", () => {
    const reply = fc.record({
      callId,
      status: fc.nat(20),
      errorText: fc.string({ unit: "grapheme" }),
      metadata,
      flags: uint32,
      details,
      body,
    });
    fc.assert(
      fc.property(fc.array(reply, { maxLength: 5 }), cuts, (sent, places) => {
        const stream = Buffer.concat(
          sent.map(({ callId: id, status, errorText, body: message, ...rest }) =>
            replyFrame({ call_id: id, status, error_text: errorText, ...rest }, message),
          ),
        );
        const { reader, frames, garbage } = replies();
        for (const piece of pieces(stream, places)) reader.push(piece);
        expect(garbage).toEqual([]);
        expect(frames).toEqual(
          sent.map(({ body: message, ...header }) => ({
            header: {
              ...header,
              metadata: header.metadata.map(({ key, value }) => ({
                key,
                value: Buffer.from(value),
              })),
              details: header.details.map(({ type, value }) => ({
                type,
                value: Buffer.from(value),
              })),
            },
            body: latin1(message),
          })),
        );
      }),
    );
  });

  test("a reply without its mark is garbage", () => {
    const { reader, garbage } = replies();
    reader.push(replyFrame({ call_id: 1 }, bytes("x")));
    reader.push(hex("0a00"));
    expect(garbage).toHaveLength(1);
  });
});

describe("replies of revision 1", () => {
  test("one that is cut inside a field waits for the rest, however many pieces it has", () => {
    // Err "OK", Value of 300 bytes: the only place where it could be taken for whole is after Err.
    const reply = Buffer.concat([hex("0a024f4b12ac02"), Buffer.alloc(300, 0x61)]);
    for (let cut = 1; cut < reply.length; cut++) {
      if (cut === 4) continue;
      const reader = new LegacyReplyReader();
      expect(reader.push(reply.subarray(0, cut))).toBeNull();
      expect(reader.push(reply.subarray(cut))).toEqual(reply);
    }
  });

  test("garbage is told from what is not whole yet", () => {
    expect(new LegacyReplyReader().push(hex("07"))).toBeUndefined();
    expect(new LegacyReplyReader().push(hex("0a"))).toBeNull();
  });
});
