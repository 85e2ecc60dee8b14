import { writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:net";
import { ConfigError } from "../config/configError.js";
import { formatNodeList } from "../config/mprpcConfig.js";

/**
 * Writes a list of `count` nodes on this machine to `file`, on ports that are free now.
 * @throws ConfigError when the file exists or can't be written.
 */
export async function writeFreeNodeList(file: string, count: number): Promise<void> {
  const ports = await findFreePorts(count);
  const list = formatNodeList(ports.map((port) => ({ host: "127.0.0.1", port })));
  try {
    // "wx" fails for a file that is there, even when two of us start at once.
    await writeFile(file, list, { flag: "wx" });
  } catch (error) {
    const exists = error instanceof Error && "code" in error && error.code === "EEXIST";
    const problem = exists
      ? "exists already: leave -n out to run its nodes, or name another file"
      : `can't be written: ${error instanceof Error ? error.message : String(error)}`;
    throw new ConfigError(file, 0, problem, { cause: error });
  }
}

/** All are held at once, so that they differ, and then let go. */
async function findFreePorts(count: number): Promise<number[]> {
  const servers: Server[] = [];
  try {
    for (let i = 0; i < count; i++) servers.push(await listenAnywhere());
    return servers.map((server) => {
      const address = server.address();
      return typeof address === "object" && address !== null ? address.port : 0;
    });
  } finally {
    await Promise.all(servers.map((server) => closed(server)));
  }
}

function listenAnywhere(): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => resolve(server));
  });
}

function closed(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
  });
}
