import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  AppendEntriesArgsCodec,
  AppendEntriesReplyCodec,
  type raftRpcProctoc,
} from "../../proto/index.js";
import { appendEntriesCodec, appendEntriesReplyCodec } from "../../raft/raftCodec.js";
import type { AppendEntries, AppendEntriesReply } from "../../raft/core/index.js";
import { ByteWriter } from "../../rpc/byteWriter.js";
import { decodePart, type Codec } from "../../rpc/service.js";
import { RpcError, RpcStatus } from "../../rpc/status.js";

function encode<T, Init>(codec: Codec<T, Init>, message: Init): Buffer {
  const writer = new ByteWriter();
  codec.encode(message, writer);
  return writer.finish();
}

const number = fc.oneof(fc.nat(300), fc.maxSafeNat());
const entry = fc.record({
  index: number,
  term: number,
  command: fc.uint8Array({ maxLength: 400 }),
});
const appendEntries: fc.Arbitrary<AppendEntries> = fc.record({
  type: fc.constant("AppendEntries" as const),
  term: number,
  from: fc.nat(6),
  prevLogIndex: number,
  prevLogTerm: number,
  entries: fc.array(entry, { maxLength: 20 }),
  leaderCommit: number,
});

function toMessage(request: AppendEntries): raftRpcProctoc.AppendEntriesArgs.$Properties {
  return {
    Term: request.term,
    LeaderId: request.from,
    PrevLogIndex: request.prevLogIndex,
    PrevLogTerm: request.prevLogTerm,
    Entries: request.entries.map(({ index, term, command }) => ({
      Command: command,
      LogTerm: term,
      LogIndex: index,
    })),
    LeaderCommit: request.leaderCommit,
  };
}

function plain(request: AppendEntries): object {
  const entries = request.entries.map((each) => ({ ...each, command: [...each.command] }));
  return { ...request, entries };
}

describe("appendEntriesCodec", () => {
  it("writes what protobufjs reads, and reads what it writes", () => {
    fc.assert(
      fc.property(appendEntries, (request) => {
        const ours = encode(appendEntriesCodec, request);
        expect(AppendEntriesArgsCodec.decode(ours)).toMatchObject({
          Term: request.term,
          LeaderCommit: request.leaderCommit,
        });
        // protobufjs writes zeros that it is given; proto3 readers take both.
        const theirs = encode(AppendEntriesArgsCodec, toMessage(request));
        expect(plain(appendEntriesCodec.decode(theirs))).toEqual(plain(request));
        expect(plain(appendEntriesCodec.decode(ours))).toEqual(plain(request));
      }),
    );
  });

  it("writes the same bytes for each follower, whoever is asked first", () => {
    const entries = [{ index: 1, term: 1, command: Buffer.from("abc") }];
    const request = {
      type: "AppendEntries",
      term: 1,
      from: 0,
      prevLogIndex: 0,
      prevLogTerm: 0,
      entries,
      leaderCommit: 0,
    } as const;
    const first = encode(appendEntriesCodec, request);
    const other = encode(appendEntriesCodec, {
      ...request,
      entries: [{ ...entries[0]!, term: 2 }],
    });
    expect(encode(appendEntriesCodec, request)).toEqual(first);
    expect(other).not.toEqual(first);
  });

  it("keeps the bytes of its entries when the receive buffer is written again", () => {
    const received = encode(appendEntriesCodec, {
      type: "AppendEntries",
      term: 1,
      from: 0,
      prevLogIndex: 0,
      prevLogTerm: 0,
      entries: [{ index: 1, term: 1, command: Buffer.from("abc") }],
      leaderCommit: 0,
    });
    const decoded = appendEntriesCodec.decode(received);
    received.fill(0);
    expect(Buffer.from(decoded.entries[0]!.command).toString()).toBe("abc");
  });

  it("reads the same in the middle of a chunk", () => {
    fc.assert(
      fc.property(appendEntries, (request) => {
        const whole = encode(appendEntriesCodec, request);
        const chunk = Buffer.concat([Buffer.from([8, 1]), whole, Buffer.from([255])]);
        const read = decodePart(appendEntriesCodec, chunk, 2, chunk.length - 1);
        expect(plain(read)).toEqual(plain(request));
      }),
    );
  });

  it("refuses an entry whose command goes on beyond it", () => {
    // Entries, 3 bytes long, of which Command claims 4; what follows looks like more fields.
    const torn = Buffer.from("2a030a0461616161", "hex");
    expect(() => appendEntriesCodec.decode(torn)).toThrow(
      "AppendEntriesArgs: a field goes on beyond its entry",
    );
  });

  it("refuses to write a term that is not a safe integer", () => {
    const request = appendEntriesCodec.decode(new Uint8Array(0));
    const write = (): Buffer => encode(appendEntriesCodec, { ...request, term: 2 ** 53 });
    expect(write).toThrow(RpcError);
    expect(write).toThrow(expect.objectContaining({ status: RpcStatus.INVALID_ARGUMENT }));
  });

  it("refuses bytes that are cut off", () => {
    fc.assert(
      fc.property(appendEntries, fc.nat(), (request, cut) => {
        const whole = encode(appendEntriesCodec, request);
        const part = whole.subarray(0, whole.length === 0 ? 0 : cut % whole.length);
        // A cut between two fields leaves a message; anywhere else it must be noticed.
        let outcome = "read";
        try {
          appendEntriesCodec.decode(part);
        } catch (error) {
          outcome = (error as RpcError).code;
        }
        expect(["read", "INVALID_ARGUMENT"]).toContain(outcome);
      }),
    );
  });
});

describe("appendEntriesReplyCodec", () => {
  const reply: fc.Arbitrary<AppendEntriesReply> = fc.record({
    type: fc.constant("AppendEntriesReply" as const),
    term: number,
    success: fc.boolean(),
    updateNextIndex: fc.oneof(fc.constant(-100), number),
    reluctant: fc.constantFrom(true, undefined),
  });

  it("agrees with protobufjs", () => {
    fc.assert(
      fc.property(reply, (message) => {
        const ours = encode(appendEntriesReplyCodec, message);
        expect(AppendEntriesReplyCodec.decode(ours)).toMatchObject({
          Term: message.term,
          Success: message.success,
          UpdateNextIndex: message.updateNextIndex,
          AppState: 1,
          Reluctant: message.reluctant ?? false,
        });
        expect(appendEntriesReplyCodec.decode(ours)).toEqual(message);
      }),
    );
  });

  it("gives the original's bytes", () => {
    const success = {
      type: "AppendEntriesReply",
      term: 1,
      success: true,
      updateNextIndex: 0,
    } as const;
    expect(encode(appendEntriesReplyCodec, success).toString("hex")).toBe("080110012001");
    const tooNew = { ...success, term: 3, success: false, updateNextIndex: 43 };
    expect(encode(appendEntriesReplyCodec, tooNew).toString("hex")).toBe("0803182b2001");
  });

  it("takes a success only from a node that works normally", () => {
    const killed = Buffer.from("08011001", "hex");
    expect(appendEntriesReplyCodec.decode(killed).success).toBe(false);
  });
});
