/** Asks the FriendService for a user's friends. See README.md beside this file. */
import { MprpcChannel, RpcError } from "mprpc-raft/rpc";
import { FiendServiceRpc_Stub } from "./gen/services.js";

const userid = Number(process.argv[2] ?? 1000);
const port = Number(process.argv[3] ?? 7788);
const channel = new MprpcChannel({ host: "127.0.0.1", port });
const stub = new FiendServiceRpc_Stub(channel);

try {
  const { result, friends } = await stub.GetFriendsList({ userid }, { timeoutMs: 2_000 });
  if (result?.errcode) {
    console.error(`refused: ${Buffer.from(result.errmsg ?? []).toString()}`);
    process.exitCode = 1;
  } else {
    friends.forEach((name, at) => console.log(`${at + 1}. ${Buffer.from(name).toString()}`));
  }
} catch (error) {
  if (!(error instanceof RpcError)) throw error;
  console.error(`${error.code}: ${error.message}`);
  process.exitCode = 2;
} finally {
  channel.close();
}
