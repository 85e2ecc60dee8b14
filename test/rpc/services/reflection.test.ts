import protobuf from "protobufjs";
import descriptor from "protobufjs/ext/descriptor.js";
import { afterEach, expect, test } from "vitest";
import { MprpcChannel, RpcProvider } from "../../../rpc/index.js";
import { HealthService, Reflection_Stub, ReflectionService } from "../../../rpc/services/index.js";
import { closeAll, closeLater, TestService } from "../support.js";
import { Feed } from "../streamSupport.js";

afterEach(closeAll);

async function start(): Promise<Reflection_Stub> {
  const provider = new RpcProvider();
  provider.notifyService(new TestService());
  provider.notifyService(new HealthService());
  provider.notifyService(new ReflectionService(provider));
  provider.notifyService(new Feed());
  const channel = new MprpcChannel(await provider.run("127.0.0.1", 0));
  closeLater(() => provider.close(0));
  closeLater(() => channel.close());
  return new Reflection_Stub(channel);
}

test("lists what is offered, itself and what came after it included", async () => {
  const { services } = await (await start()).ListServices({});
  expect(services.map(({ name, full_name }) => [name, full_name])).toEqual([
    ["kvServerRpc", "raftKVRpcProctoc.kvServerRpc"],
    ["Health", "grpc.health.v1.Health"],
    ["Reflection", "mprpc.reflection.v1.Reflection"],
    ["Feed", "test.Feed"],
  ]);
  expect(services[1]?.methods).toEqual([
    expect.objectContaining({ name: "Check", server_stream: false }),
    expect.objectContaining({ name: "Watch", server_stream: true }),
  ]);
});

test.each(["kvServerRpc", "raftKVRpcProctoc.kvServerRpc"])(
  "tells the schema of %s",
  async (name) => {
    const { file_descriptor_set } = await (await start()).GetSchema({ service: name });
    const { file } = descriptor.FileDescriptorSet.decode(file_descriptor_set);
    const root = protobuf.Root.fromDescriptor({ file }, { keepCase: true });
    const service = root
      .lookupService("raftKVRpcProctoc.kvServerRpc")
      .resolveAll() as protobuf.Service;
    expect(service.methods["Get"]?.resolvedRequestType?.fields["Key"]).toMatchObject({
      id: 1,
      type: "bytes",
    });
  },
);

test("a service that nobody offers, or that has no schema, is not found", async () => {
  const stub = await start();
  for (const service of ["Missing", "Feed"]) {
    await expect(stub.GetSchema({ service })).rejects.toMatchObject({ code: "NOT_FOUND" });
  }
});
