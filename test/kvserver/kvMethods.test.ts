import fc from "fast-check";
import { expect, test } from "vitest";
import { rpcLimits } from "../../config/options.js";
import { getReplyCodec } from "../../kvserver/kvMethods.js";
import { GetReplyCodec } from "../../proto/index.js";
import { ByteWriter } from "../../rpc/index.js";

const bytes = fc.oneof(
  fc.uint8Array({ maxLength: 40 }),
  fc.constant(new Uint8Array(rpcLimits.lentBytesMin).fill(7)),
);
const reply = fc.record(
  { Err: bytes, Value: bytes, LeaderHint: fc.integer() },
  { requiredKeys: [] },
);

test("GetReply is written as the generated codec writes it", () => {
  fc.assert(
    fc.property(reply, fc.boolean(), (message, borrows) => {
      const ours = new ByteWriter(1, borrows);
      const theirs = new ByteWriter(1);
      getReplyCodec.encode(message, ours);
      GetReplyCodec.encode(message, theirs);
      expect(ours.finish().equals(theirs.finish())).toBe(true);
    }),
  );
});
