/** Offers the FriendService; runs until it is told to stop. See README.md beside this file. */
import { RpcProvider } from "mprpc-raft/rpc";
import type { GetFriendsListRequest, GetFriendsListResponse } from "./gen/messages.js";
import { FiendServiceRpc } from "./gen/services.js";

const friends: ReadonlyMap<number, readonly string[]> = new Map([
  [1000, ["Ada", "Barbara", "Grace"]],
  [1001, ["Ada"]],
]);

class FriendService extends FiendServiceRpc {
  override GetFriendsList({ userid }: GetFriendsListRequest): GetFriendsListResponse.$Properties {
    console.log(`GetFriendsList for user ${userid}`);
    const names = friends.get(userid);
    // An answer like any other: the call itself succeeded.
    if (names === undefined) {
      return { result: { errcode: 1, errmsg: Buffer.from(`there is no user ${userid}`) } };
    }
    return { result: { errcode: 0 }, friends: names.map((name) => Buffer.from(name)) };
  }
}

const provider = new RpcProvider({ onError: (error, { peer }) => console.error(peer, error) });
provider.notifyService(new FriendService());
const stop = (): void => void provider.close();
process.once("SIGINT", stop);
process.once("SIGTERM", stop);

const { host, port } = await provider.run("127.0.0.1", Number(process.argv[2] ?? 7788));
console.log(`FriendService on ${host}:${port}`);
