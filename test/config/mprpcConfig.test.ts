import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import { ConfigError, formatNodeList, MprpcConfig } from "../../config/index.js";
import { canonicalAddress, formatAddress } from "../../config/nodeAddress.js";
import { nodeListBytesMax } from "../../config/options.js";

const two = "node0ip=127.0.0.1\nnode0port=29016\nnode1ip=127.0.0.1\nnode1port=29017\n";

function parse(text: string): MprpcConfig {
  return MprpcConfig.parse(text, "nodes.conf");
}

describe("a node list", () => {
  test("names the nodes, and everything else is an option", () => {
    const config = parse(`${two}commandCodec=boost\nmyKey = some value\n`);
    expect(config.nodes).toEqual([
      { id: 0, host: "127.0.0.1", port: 29016, line: 2 },
      { id: 1, host: "127.0.0.1", port: 29017, line: 4 },
    ]);
    expect([...config.options]).toEqual([
      ["commandCodec", { value: "boost", line: 5 }],
      ["myKey", { value: "some value", line: 6 }],
    ]);
    expect(config.load("node1port")).toBe("29017");
    expect(config.load("myKey")).toBe("some value");
    expect(config.load("missing")).toBeUndefined();
    expect(config.warnings).toEqual([]);
  });

  test("may have comments, blanks, CRLF, a byte order mark and any order", () => {
    const text = [
      "\uFEFF# a comment",
      "  node1port =  29017  ",
      "",
      "\t# another",
      "node0port=29016 # behind a blank",
      "node1ip=two.example",
      "node0ip\t=\tlocalhost",
    ];
    const config = parse(text.join("\r\n"));
    expect(config.nodes).toEqual([
      { id: 0, host: "localhost", port: 29016, line: 5 },
      { id: 1, host: "two.example", port: 29017, line: 2 },
    ]);
  });

  test("keeps the first value of a repeated key, and warns", () => {
    const config = parse(`${two}node0port=1\n`);
    expect(config.nodes[0]?.port).toBe(29016);
    expect(config.warnings).toEqual(["nodes.conf:5: node0port is ignored: line 2 set it"]);
  });

  test.each([
    ["10.1.2.3", "10.1.2.3"],
    ["::1", "::1"],
    ["[2001:db8::1]", "2001:db8::1"],
    ["fe80::1%eth0", "fe80::1%eth0"],
    ["kv-1.example.com", "kv-1.example.com"],
    ["kv_1", "kv_1"],
    ["1.example", "1.example"],
  ])("may name a node %s", (text, host) => {
    expect(parse(`node0ip=${text}\nnode0port=65535`).nodes[0]).toMatchObject({ host, port: 65535 });
  });

  test("comes back as it was written", () => {
    const port = fc.integer({ min: 1, max: 65_535 });
    const host = fc.oneof(fc.ipV4(), fc.ipV6(), fc.domain());
    const ports = fc.uniqueArray(fc.tuple(host, port), {
      minLength: 1,
      selector: ([, number]) => number,
    });
    fc.assert(
      fc.property(ports, (pairs) => {
        const nodes = pairs.map(([name, number]) => ({ host: name, port: number }));
        expect(parse(formatNodeList(nodes)).nodes).toMatchObject(nodes);
      }),
    );
  });

  test("of any text is a list or a ConfigError", () => {
    const line = fc.oneof(
      fc.string(),
      fc.constantFrom("node0ip=a", "node0port=1", "node1ip=::1", "node1port=70000", "x="),
    );
    fc.assert(
      fc.property(fc.array(line), (lines) => {
        let outcome: unknown;
        try {
          outcome = parse(lines.join("\n"));
        } catch (error) {
          outcome = error;
        }
        expect(outcome instanceof MprpcConfig || outcome instanceof ConfigError).toBe(true);
      }),
    );
  });
});

describe("a faulty node list", () => {
  test.each([
    ["", "nodes.conf: no nodes"],
    ["# nothing\nfoo=bar", "nodes.conf: no nodes"],
    [`${two}node1`, 'nodes.conf:5: expected key=value, found "node1"'],
    [`${two}=5`, 'nodes.conf:5: there is no key before "="'],
    [`${two}key=`, "nodes.conf:5: key has no value"],
    [`${two}node2ip=::1`, "nodes.conf:5: node2port is missing"],
    [`${two}node2port=5`, "nodes.conf:5: node2ip is missing"],
    [`${two}node3ip=::1\nnode3port=5`, "nodes.conf:5: node3 leaves a gap: node2ip and node2port"],
    ["node1ip=::1\nnode1port=5", "nodes.conf:1: node1 leaves a gap: node0ip and node0port"],
    [`${two}node02ip=::1`, "nodes.conf:5: node02ip: write the number as 2"],
    ["node0ip=::1\nnode0port=0", "nodes.conf:2: node0port must be a number from 1 to 65535"],
    ["node0ip=::1\nnode0port=65536", 'from 1 to 65535, not "65536"'],
    ["node0ip=::1\nnode0port=-5", "nodes.conf:2: node0port must be"],
    ["node0ip=::1\nnode0port=0x10", "nodes.conf:2: node0port must be"],
    [
      "node0ip=127.0.0.256\nnode0port=5",
      "nodes.conf:1: node0ip must be an IP address or a host name",
    ],
    ["node0ip=two words\nnode0port=5", 'not "two words"'],
    ["node0ip=[127.0.0.1]\nnode0port=5", "nodes.conf:1: node0ip must be"],
    ["node0ip=-x\nnode0port=5", "nodes.conf:1: node0ip must be"],
    ["node0ip=a..b\nnode0port=5", "nodes.conf:1: node0ip must be"],
    ["node0ip=::1", "nodes.conf:1: node0port is missing: add it beside node0ip"],
    [
      "node0ip=::1\nnode0port=5\nnode1ip=[0:0::1]\nnode1port=5",
      "nodes.conf:4: node1 has the address of node0, [::1]:5",
    ],
    [
      "node0ip=Host\nnode0port=5\nnode1ip=hosT\nnode1port=05",
      "nodes.conf:4: node1 has the address of node0, host:5",
    ],
  ])("is refused with file and line: %j", (text, message) => {
    expect(() => parse(text)).toThrow(ConfigError);
    expect(() => parse(text)).toThrow(message);
  });

  test("is quoted short and without control characters", () => {
    const text = `node0port=1\nnode0ip=\u001b[31m${"x".repeat(500)}`;
    expect(() => parse(text)).toThrow(/^nodes\.conf:2: [ -~]{1,160}$/);
  });
});

describe("loadFile", () => {
  const folder = mkdtempSync(join(tmpdir(), "nodelist-"));
  afterAll(() => rmSync(folder, { recursive: true }));

  test("reads a file", () => {
    const path = join(folder, "nodes.conf");
    writeFileSync(path, two);
    expect(MprpcConfig.loadFile(path).nodes.length).toBe(2);
  });

  test("says what is wrong with a file that it can't read", () => {
    const missing = join(folder, "missing.conf");
    expect(() => MprpcConfig.loadFile(missing)).toThrow(`${missing}: no such file`);
    expect(() => MprpcConfig.loadFile(folder)).toThrow(`${folder}: is a directory`);
    const large = join(folder, "large.conf");
    writeFileSync(large, Buffer.alloc(nodeListBytesMax + 1));
    expect(() => MprpcConfig.loadFile(large)).toThrow(/larger than/);
  });

  test("reads the list that comes with the package", () => {
    const path = join(import.meta.dirname, "../../config/nodes.conf");
    expect(MprpcConfig.loadFile(path).nodes).toMatchObject([
      { host: "127.0.0.1", port: 29016 },
      { host: "127.0.0.1", port: 29017 },
      { host: "127.0.0.1", port: 29018 },
    ]);
  });
});

test("an address has one spelling", () => {
  expect(formatAddress("::1", 5)).toBe("[::1]:5");
  expect(canonicalAddress("2001:DB8:0::1", 5)).toBe("[2001:db8::1]:5");
  expect(canonicalAddress("Example.COM", 5)).toBe("example.com:5");
});
