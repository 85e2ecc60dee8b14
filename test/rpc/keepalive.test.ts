import { afterEach, describe, expect, test } from "vitest";
import { kvServerRpc_Stub } from "../../proto/index.js";
import { pingFlag, pongFlag, replyPingFlag } from "../../rpc/framing.js";
import { replyFrame, requestHeaders, scriptedServer } from "./scripted.js";
import {
  bytes,
  closeAll,
  deferred,
  frame,
  openChannel,
  rawClient,
  startProvider,
  until,
} from "./support.js";

afterEach(closeAll);

const impatient = { keepaliveMs: 40, keepaliveTimeoutMs: 40 };
const openSession = frame({
  service_name: bytes("kvServerRpc"),
  method_name: bytes("OpenSession"),
  call_id: 1,
});
const serverPing = replyFrame({ flags: replyPingFlag });

function countOf(haystack: Buffer, needle: Buffer): number {
  let count = 0;
  for (let at = haystack.indexOf(needle); at >= 0; at = haystack.indexOf(needle, at + 1)) count++;
  return count;
}

describe("a channel", () => {
  test("finds a server that fell silent, and fails the calls that waited for it", async () => {
    const server = await scriptedServer((connection, header, n) => {
      if (n === 0) connection.send(replyFrame({ call_id: header.call_id }));
    });
    const stub = new kvServerRpc_Stub(openChannel(server.port, impatient));
    await stub.Get({});
    await expect(stub.Get({})).rejects.toMatchObject({
      code: "UNAVAILABLE",
      message: expect.stringMatching(/is gone: nothing came for \d+ ms/) as string,
    });
  });

  test("keeps a server that answers pings, however long a call takes", async () => {
    let pings = 0;
    const server = await scriptedServer((connection, header, n) => {
      if (header.flags === pingFlag) {
        connection.send(replyFrame({ call_id: header.call_id }));
        if (++pings === 4) connection.send(replyFrame({ call_id: 2 ** 10 + 1 }));
      } else if (n === 0) connection.send(replyFrame({ call_id: header.call_id }));
    });
    const stub = new kvServerRpc_Stub(openChannel(server.port, impatient));
    await stub.Get({});
    const slow = stub.Get({});
    const outcome = Promise.race([slow, until(() => pings >= 6, "six pings").then(() => "kept")]);
    expect(await outcome).toBe("kept");
    expect(server.connections).toHaveLength(1);
    slow.catch(() => undefined);
  });

  test("answers a server's ping", async () => {
    const server = await scriptedServer((connection, header, n) => {
      if (n === 0) connection.send(replyFrame({ call_id: header.call_id }));
      if (n === 0) connection.send(serverPing);
    });
    await new kvServerRpc_Stub(openChannel(server.port)).Get({});
    const [connection] = server.connections;
    await until(() => requestHeaders(connection!.received).length >= 2, "a pong");
    expect(requestHeaders(connection!.received)[1]).toMatchObject({ call_id: 0, flags: pongFlag });
  });

  test("never pings a server of revision 1", async () => {
    const server = await scriptedServer((connection, _header, n) => {
      if (n === 0) connection.send(Buffer.from([0x0a, 2, 0x4f, 0x4b]));
    });
    const stub = new kvServerRpc_Stub(openChannel(server.port, impatient));
    await stub.Get({});
    await expect(stub.Get({}, { timeoutMs: 400 })).rejects.toMatchObject({
      code: "DEADLINE_EXCEEDED",
    });
    const flags = requestHeaders(server.connections[0]!.received).map((header) => header.flags);
    expect(flags).toEqual([0, 0]);
  });
});

describe("a provider", () => {
  test("lets a caller go that does not answer its ping", async () => {
    const { port, provider } = await startProvider(impatient);
    const client = await rawClient(port);
    client.send(openSession);
    await client.ended();
    await until(() => provider.connections === 0, "the connection is gone");
    expect(countOf(client.received, serverPing)).toBe(1);
  });

  test("keeps a caller that answers", async () => {
    const { port, provider } = await startProvider(impatient);
    const client = await rawClient(port);
    let answered = 0;
    client.socket.on("data", () => {
      for (const pings = countOf(client.received, serverPing); answered < pings; answered++)
        client.send(frame({ flags: pongFlag }));
    });
    client.send(openSession);
    await until(() => answered >= 5, "five pings");
    expect(client.ending).toBe("open");
    expect(provider.connections).toBe(1);
  });

  test("does not take its own slowness for the caller's", async () => {
    const { port, service, provider } = await startProvider({ ...impatient, callsInFlightMax: 1 });
    const gate = deferred();
    service.get = async () => {
      await gate.promise;
      return {};
    };
    const stub = new kvServerRpc_Stub(openChannel(port));
    await stub.PutAppend({});
    const calls = Array.from({ length: 8 }, () => stub.Get({}));
    // It reads nothing meanwhile, pongs included; several times as long as its patience.
    await new Promise((resolve) => setTimeout(resolve, 400));
    expect(provider.connections).toBe(1);
    gate.resolve();
    await Promise.all(calls);
  });
});
