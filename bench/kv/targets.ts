import { EtcdCluster } from "./etcdCluster.js";
import { MprpcCluster } from "./mprpcCluster.js";
import { findProgram } from "./processes.js";
import { RedisNode } from "./redisNode.js";
import type { Target } from "./target.js";

/** Progress, in one line where there is a terminal. */
export function note(text: string): void {
  process.stderr.write(process.stderr.isTTY ? `\r\x1b[K${text}` : `${text}\n`);
}

/** A program of Debian's, or null with a line that says what is missing. */
function debianProgram(program: string, packageName: string): string | null {
  const file = findProgram(program);
  if (file === null)
    note(`${program} is not on PATH: left out (Debian's package ${packageName} has it)\n`);
  return file;
}

/** Null, and a line that says so, where the program is not there. */
export function targetOf(name: string, nodes: number): Target | null {
  switch (name) {
    case "mprpc-raft":
      return new MprpcCluster(nodes);
    case "etcd": {
      const file = debianProgram("etcd", "etcd-server");
      return file === null ? null : new EtcdCluster(file, nodes);
    }
    case "redis": {
      const file = debianProgram("redis-server", "redis-server");
      return file === null ? null : new RedisNode(file);
    }
    default:
      throw new Error(`there is no target ${name}`);
  }
}
