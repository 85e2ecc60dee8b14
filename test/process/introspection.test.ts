import { afterEach, beforeEach, expect, it } from "vitest";
import { MprpcChannel } from "../../rpc/index.js";
import { Health_Stub, Reflection_Stub, ServingStatus } from "../../rpc/services/index.js";
import { eventually } from "../eventually.js";
import { Cluster } from "./cluster.js";

/** What a node says of itself, to balancers and to mprpc-call. */

let cluster: Cluster;
let channel: MprpcChannel;

beforeEach(async () => {
  cluster = await Cluster.create(1);
  cluster.start(0);
  channel = new MprpcChannel(cluster.nodes[0]!);
});

afterEach(async () => {
  channel.close();
  await cluster.destroy();
});

it("a node tells its health until it stops, and its services with their schema", async () => {
  const health = new Health_Stub(channel);
  const { status: first } = await eventually("the node serves", () =>
    health.Check({}).catch(() => undefined),
  );
  expect(first).toBe(ServingStatus.SERVING);
  const reflection = new Reflection_Stub(channel);
  const { services } = await reflection.ListServices({});
  expect(services.map(({ name }) => name)).toEqual([
    "raftRpc",
    "kvServerRpc",
    "Health",
    "Reflection",
  ]);
  const { file_descriptor_set } = await reflection.GetSchema({ service: "kvServerRpc" });
  expect(file_descriptor_set.length).toBeGreaterThan(0);

  const watch = health.Watch({});
  const statuses: unknown[] = [];
  for await (const { status } of watch) {
    statuses.push(status);
    if (statuses.length === 1) void cluster.stop(0, "SIGTERM");
  }
  expect(statuses).toEqual([ServingStatus.SERVING, ServingStatus.NOT_SERVING]);
});
