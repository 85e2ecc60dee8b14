import { expect, test } from "vitest";
import { ByteWriter } from "../../../rpc/index.js";
import { RpcHeaderCodec, type RpcHeader } from "../../../proto/index.js";
import { frame, legacyFrame } from "../support.js";
import { replyFrame } from "../wireFrames.js";
import { readCorpus } from "./corpus.js";
import { findFault, foretell, isSatisfied } from "./expectation.js";
import { mutate } from "./mutate.js";
import { fuzzProvider, inputPrng } from "./providerFuzz.js";
import { limits, LocalTarget } from "./target.js";
import { readStream } from "./wireModel.js";

const bytes = (text: string): Buffer => Buffer.from(text);
const getArgs = new ByteWriter().byte(0x0a).bytes(bytes("key")).finish();
const getReply = new ByteWriter()
  .byte(0x0a)
  .bytes(bytes("OK"))
  .byte(0x12)
  .bytes(bytes("key"))
  .finish();

function get(header: RpcHeader.$Properties): Buffer {
  const names = { service_name: bytes("kvServerRpc"), method_name: bytes("Get") };
  return frame({ ...names, ...header }, getArgs);
}

test("thousands of damaged streams: each answered as foretold, and the provider stays well", async () => {
  const target = await LocalTarget.start();
  try {
    const report = await fuzzProvider(target, { seed: 1, first: 0, end: 3_000 });
    expect(report.inputs).toBe(3_000);
    for (const count of Object.values(report.endings)) expect(count).toBeGreaterThan(100);
    expect(report.mutations.size).toBe(13);
  } finally {
    await target.stop();
  }
});

test("a seed and a number make the same input each time", () => {
  const { requests } = readCorpus();
  const make = (index: number) => mutate(requests, inputPrng(5, index));
  expect(make(17)).toEqual(make(17));
  expect(make(17)).not.toEqual(make(18));
});

test("what was recorded is whole, and has each kind of frame in it", () => {
  const streams = readCorpus().requests.map((frames) => Buffer.concat(frames));
  const all = streams.flatMap((stream) => {
    const { frames, end } = readStream(stream, {
      headerBytesMax: 16_384,
      requestBytesMax: 1 << 20,
    });
    expect(end).toBe("whole");
    return frames;
  });
  const flags = new Set(all.map((one) => one.flags));
  expect([...flags].sort((a, b) => a - b)).toEqual([0, 1, 2, 4, 8, 16]);
  expect(new Set(all.map(({ callId }) => callId === 0))).toEqual(new Set([true, false]));
  const header = RpcHeaderCodec.decode(streams[0]!.subarray(1, 1 + streams[0]![0]!));
  expect(header.call_id).toBeGreaterThan(0);
});

test.each<[string, Buffer, Buffer, string]>([
  ["the reply", get({ call_id: 7 }), replyFrame({ call_id: 7 }, getReply), "nothing"],
  [
    "a reply twice",
    get({ call_id: 7 }),
    Buffer.concat([replyFrame({ call_id: 7 }, getReply), replyFrame({ call_id: 7 }, getReply)]),
    "2 answers",
  ],
  ["another's reply", get({ call_id: 7 }), replyFrame({ call_id: 7 }, bytes("x")), "ended with 0"],
  ["a call that nobody made", get({ call_id: 7 }), replyFrame({ call_id: 8 }), "answers to call 8"],
  ["another status", get({ call_id: 7 }), replyFrame({ call_id: 7, status: 13 }), "ended with 13"],
  [
    "an answer to a one-way call",
    get({ call_id: 7, flags: 2 }),
    replyFrame({ call_id: 7 }),
    "0 were",
  ],
  [
    "a message of a unary call",
    get({ call_id: 7 }),
    replyFrame({ call_id: 7, flags: 1 }),
    "none of",
  ],
  ["a bare reply for a framed one", get({ call_id: 7 }), getReply, "can't be read"],
  ["another bare reply", legacyFrame("Get", getArgs), bytes("x"), "bare replies"],
  ["the bare reply", legacyFrame("Get", getArgs), getReply, "nothing"],
])("the judge sees what is wrong: %s", (_name, requests, replies, fault) => {
  const found = findFault(foretell(requests, limits), replies);
  expect(found ?? "nothing").toContain(fault);
});

test("the judge waits for each answer that must come, and for an end where one must", () => {
  const two = foretell(Buffer.concat([get({ call_id: 7 }), get({ call_id: 8 })]), limits);
  const reply = replyFrame({ call_id: 7 }, getReply);
  expect(isSatisfied(two, reply, false)).toBe(false);
  expect(
    isSatisfied(two, Buffer.concat([reply, replyFrame({ call_id: 8 }, getReply)]), false),
  ).toBe(true);
  const garbage = foretell(Buffer.concat([get({ call_id: 7 }), Buffer.alloc(10, 0xff)]), limits);
  expect(isSatisfied(garbage, reply, false)).toBe(false);
  expect(isSatisfied(garbage, reply, true)).toBe(true);
});
