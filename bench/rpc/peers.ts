import { grpcPeer } from "./grpcPeer.js";
import { mprpcPeer, mprpcStubPeer } from "./mprpcPeer.js";
import type { Peer } from "./peer.js";
import { socketPeer } from "./socketPeer.js";

export const kinds = ["grpc-js", "socket", "mprpc", "mprpc stub"] as const;
export type Kind = (typeof kinds)[number];

export const peers: Readonly<Record<Kind, Peer>> = {
  "grpc-js": grpcPeer,
  socket: socketPeer,
  mprpc: mprpcPeer,
  "mprpc stub": mprpcStubPeer,
};

export function isKind(text: string): text is Kind {
  return kinds.some((kind) => kind === text);
}
