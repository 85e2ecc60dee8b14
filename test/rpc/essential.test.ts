/** Beyond `connectionsMax` a provider still takes the callers of services that must be reachable. */
import { afterEach, expect, test } from "vitest";
import { rpcLimits } from "../../config/options.js";
import { kvServerRpc_Stub } from "../../proto/index.js";
import { RpcProvider, type MethodDescriptor, type RpcService } from "../../rpc/index.js";
import {
  bytes,
  closeAll,
  closeLater,
  frame,
  openChannel,
  rawClient,
  TestService,
  until,
} from "./support.js";

afterEach(closeAll);

const { essentialConnectionsMax } = rpcLimits;

/** Answers anything with nothing: what it stands for must be reachable. */
class EssentialService implements RpcService {
  readonly essential = true;
  readonly descriptor;

  constructor(method: MethodDescriptor) {
    this.descriptor = { name: "vital", fullName: "vital", methods: [{ ...method, name: "Beat" }] };
  }

  callMethod(_: MethodDescriptor, __: unknown, ___: unknown, done: (reply: unknown) => void): void {
    done({});
  }
}

async function start(connectionsMax: number): Promise<{ provider: RpcProvider; port: number }> {
  const provider = new RpcProvider({ connectionsMax });
  const service = new TestService();
  provider.notifyService(service);
  provider.notifyService(new EssentialService(service.descriptor.methods[0]!));
  const { port } = await provider.run("127.0.0.1", 0);
  closeLater(() => provider.close(0));
  return { provider, port };
}

const beat = frame({ service_name: bytes("vital"), method_name: bytes("Beat"), call_id: 1 });

test("one too many that calls an essential service is served, and stays", async () => {
  const { provider, port } = await start(1);
  await rawClient(port);
  await until(() => provider.connections === 1, "it is full");
  const peer = await rawClient(port);
  peer.send(beat);
  await peer.receive(1);
  // Nor do later ones push it out, however many they are.
  const others = [];
  for (let i = 0; i < essentialConnectionsMax + 4; i++) others.push(await rawClient(port));
  expect(await others[0]!.ended()).toBe("RST");
  expect(peer.ending).toBe("open");
  await until(() => provider.connections <= 1 + essentialConnectionsMax, "no more than that");
});

test("one too many that calls anything else is reset", async () => {
  const { provider, port } = await start(1);
  await rawClient(port);
  await until(() => provider.connections === 1, "it is full");
  const stub = new kvServerRpc_Stub(openChannel(port));
  await expect(stub.Get({ Key: bytes("k") })).rejects.toThrow(/reset/i);
  await until(() => provider.connections === 1, "it is gone");
});

test("silent ones make way for one that has something to say", async () => {
  const { provider, port } = await start(1);
  await rawClient(port);
  for (let i = 0; i < essentialConnectionsMax; i++) await rawClient(port);
  await until(() => provider.connections === 1 + essentialConnectionsMax, "that is all");
  const peer = await rawClient(port);
  peer.send(beat);
  await peer.receive(1);
  expect(peer.ending).toBe("open");
});

test("with room again a caller of anything is served", async () => {
  const { provider, port } = await start(1);
  const first = await rawClient(port);
  await until(() => provider.connections === 1, "it is full");
  first.socket.destroy();
  await until(() => provider.connections === 0, "there is room");
  const stub = new kvServerRpc_Stub(openChannel(port));
  expect((await stub.Get({ Key: bytes("k") })).Value.length).toBe(1);
});
