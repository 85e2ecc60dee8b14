import { describe, expect, test } from "vitest";
import { ConfigError, environmentName, MprpcConfig, readSettings } from "../../config/index.js";
import { kvDefaults, raftDefaults, rpcDefaults, storageDefaults } from "../../config/options.js";

function list(...options: string[]): MprpcConfig {
  const text = ["node0ip=127.0.0.1", "node0port=29016", ...options].join("\n");
  return MprpcConfig.parse(text, "nodes.conf");
}

describe("settings", () => {
  test("are none where none are given", () => {
    expect(readSettings(list())).toEqual({ rpc: {}, raft: {}, storage: {}, kv: {}, warnings: [] });
  });

  test("are read from the node list into their groups", () => {
    const config = list(
      "heartbeatMs=100",
      "electionTimeoutMsMin=1000",
      "electionTimeoutMsMax=2000",
      "commandCodec=boost",
      "snapshotLogBytes=-1",
      "trailingEntries=0",
      "segmentBytes=1048576",
      "connectionsMax=5",
    );
    expect(readSettings(config)).toEqual({
      rpc: { connectionsMax: 5 },
      raft: { heartbeatMs: 100, electionTimeoutMsMin: 1000, electionTimeoutMsMax: 2000 },
      storage: { segmentBytes: 1_048_576 },
      kv: { commandCodec: "boost", snapshotLogBytes: -1, trailingEntries: 0 },
      warnings: [],
    });
  });

  test("that are unknown are a warning", () => {
    expect(readSettings(list("colour=red", "heartbeatMs=20")).warnings).toEqual([
      "nodes.conf:3: unknown key colour is ignored",
    ]);
  });

  test("an option beats the environment, which beats the node list", () => {
    const config = list("heartbeatMs=10");
    const environment = { KV_HEARTBEAT_MS: "20" };
    const flags = new Map([["heartbeatMs", "30"]]);
    expect(readSettings(config).raft.heartbeatMs).toBe(10);
    expect(readSettings(config, environment).raft.heartbeatMs).toBe(20);
    expect(readSettings(config, environment, flags).raft.heartbeatMs).toBe(30);
    expect(readSettings(config, { KV_HEARTBEAT_MS: "" }).raft.heartbeatMs).toBe(10);
    expect(environmentName("electionTimeoutMsMin")).toBe("KV_ELECTION_TIMEOUT_MS_MIN");
  });

  test("accept every default as it is", () => {
    const all = { ...rpcDefaults, ...raftDefaults, ...storageDefaults, ...kvDefaults };
    const config = list(...Object.entries(all).map(([key, value]) => `${key}=${value}`));
    const { rpc, raft, storage, kv, warnings } = readSettings(config);
    expect({ rpc, raft, storage, kv }).toEqual({
      rpc: rpcDefaults,
      raft: raftDefaults,
      storage: storageDefaults,
      kv: kvDefaults,
    });
    expect(warnings).toEqual([]);
  });

  test.each([
    [
      "heartbeatMs=fast",
      'nodes.conf:3: heartbeatMs must be an integer from 1 to 60000, not "fast"',
    ],
    ["heartbeatMs=0", "nodes.conf:3: heartbeatMs must be"],
    ["heartbeatMs=2.5", "nodes.conf:3: heartbeatMs must be"],
    ["heartbeatMs=1e3", "nodes.conf:3: heartbeatMs must be"],
    ["snapshotLogBytes=-2", "nodes.conf:3: snapshotLogBytes must be -1 or an integer"],
    ["commandCodec=json", 'nodes.conf:3: commandCodec must be "compact" or "boost", not "json"'],
    ["electionTimeoutMsMin=50", "nodes.conf:3: electionTimeoutMsMin (50) must be more than twice"],
    ["heartbeatMs=150", "nodes.conf:3: electionTimeoutMsMin (300) must be more than twice"],
    ["electionTimeoutMsMax=300", "nodes.conf:3: electionTimeoutMsMax (300) must be more than"],
    ["backoffMsMax=5", "nodes.conf:3: backoffMsMax (5) must be at least backoffMsMin"],
    ["requestBytesMax=262144", "nodes.conf:3: appendBytesMax (262144) must be at least 512"],
    ["recordBytesMax=1048576", "nodes.conf:3: requestBytesMax"],
  ])("that can't be are refused with file and line: %s", (option, message) => {
    expect(() => readSettings(list(option))).toThrow(ConfigError);
    expect(() => readSettings(list(option))).toThrow(message);
  });

  test.each([
    ["readMode=lease", "readMode must be readIndex with commandCodec=boost"],
    ["heartbeatMs=120", "heartbeatMs (120) must be at most 100 with commandCodec=boost"],
  ])("that nodes of the original can't follow are refused beside them: %s", (option, message) => {
    expect(() => readSettings(list(option))).not.toThrow();
    expect(() => readSettings(list(option, "commandCodec=boost"))).toThrow(message);
  });

  test("are refused with the name of the variable or the option", () => {
    expect(() => readSettings(list(), { KV_HEARTBEAT_MS: "x" })).toThrow(
      /^KV_HEARTBEAT_MS: heartbeatMs must be/,
    );
    expect(() => readSettings(list(), {}, new Map([["heartbeatMs", "x"]]))).toThrow(
      /^--set: heartbeatMs must be/,
    );
    expect(() => readSettings(list(), {}, new Map([["colour", "red"]]))).toThrow(
      "--set: there is no setting named colour",
    );
  });
});
