import type { NodeAddress } from "../config/mprpcConfig.js";
import { kvServerRpc_Stub } from "../proto/index.js";
import { MprpcChannel } from "../rpc/mprpcChannel.js";
import type { LaunchedStatus } from "./launcher.js";

const statusTimeoutMs = 1_000;

/** Asks a node how it is; undefined when it does not answer. */
export async function queryStatus(node: NodeAddress): Promise<LaunchedStatus | undefined> {
  const channel = new MprpcChannel({ host: node.host, port: node.port });
  try {
    const status = await new kvServerRpc_Stub(channel).Status({}, { timeoutMs: statusTimeoutMs });
    return { role: status.Role, term: status.Term, processId: status.ProcessId };
  } catch {
    return undefined;
  } finally {
    channel.close();
  }
}
