/**
 * The service that is attacked. What it answers follows from the request alone, so that it can be
 * foretold.
 */
import {
  GetArgsCodec,
  GetReplyCodec,
  kvServerRpcMethods,
  type GetArgs,
  type GetReply,
} from "../../../proto/index.js";
import {
  RpcError,
  RpcStatus,
  type MethodDescriptor,
  type MprpcController,
  type RpcService,
} from "../../../rpc/index.js";

export const watchMethod: MethodDescriptor<GetArgs.$Properties, GetReply> = {
  serviceName: "kvServerRpc",
  name: "Watch",
  index: 2,
  request: GetArgsCodec,
  response: GetReplyCodec,
  kind: "server_stream",
};
export const serviceName = "kvServerRpc";
export const methods: readonly MethodDescriptor[] = [
  kvServerRpcMethods.Get,
  kvServerRpcMethods.PutAppend,
  watchMethod,
];

const ok = Buffer.from("OK");

/** How a unary call ends: "hang" only when its caller gives up, "late" some turns later. */
export interface Answer {
  readonly when: "now" | "late" | "hang";
  readonly status: RpcStatus;
  readonly reply: unknown;
}

/** The first byte of the key says how: h, l, e; any other is an echo. */
export function answerOf(method: string, request: unknown): Answer {
  if (method === "PutAppend") return { when: "now", status: RpcStatus.OK, reply: { Err: ok } };
  const { Key } = request as GetArgs;
  const reply = { Err: ok, Value: Key };
  const first = String.fromCharCode(Key[0] ?? 0);
  if (first === "e") return { when: "now", status: RpcStatus.NOT_FOUND, reply: null };
  const when = first === "h" ? "hang" : first === "l" ? "late" : "now";
  return { when, status: RpcStatus.OK, reply };
}

/** The messages of Watch: the key's first byte says how many, its second how large. */
export function messagesOf(request: unknown): readonly GetReply.$Properties[] {
  const { Key } = request as GetArgs;
  const count = (Key[0] ?? 0) % 16;
  const Value = new Uint8Array(((Key[1] ?? 0) % 64) * 32).fill(0x61);
  return Array.from({ length: count }, () => ({ Err: ok, Value }));
}

export class FuzzService implements RpcService {
  readonly descriptor = { name: serviceName, fullName: `test.${serviceName}`, methods };
  /** Handlers that began, and of those the ones that came to their end. */
  begun = 0;
  ended = 0;
  /** The ends of those that wait for their caller to give up. */
  readonly #hanging = new Set<() => void>();

  get hanging(): number {
    return this.#hanging.size;
  }

  /** Ends them: of one-way calls nobody ever will, by right. */
  releaseHanging(): void {
    for (const end of this.#hanging) end();
  }

  callMethod(
    method: MethodDescriptor,
    controller: MprpcController,
    request: unknown,
    done: (response: unknown) => void,
  ): void {
    this.begun++;
    const answer = answerOf(method.name, request);
    const end = (): void => {
      this.#hanging.delete(end);
      this.ended++;
      if (answer.status !== RpcStatus.OK) controller.setThrown(new RpcError(answer.status, "no"));
      done(answer.reply);
    };
    if (answer.when === "now") end();
    else if (answer.when === "late") setImmediate(() => setImmediate(end));
    else {
      this.#hanging.add(end);
      controller.notifyOnCancel(() => {
        if (this.#hanging.has(end)) end();
      });
    }
  }

  async *callStream(
    _method: MethodDescriptor,
    _controller: MprpcController,
    request: unknown,
  ): AsyncGenerator {
    this.begun++;
    try {
      yield* messagesOf(request);
    } finally {
      this.ended++;
    }
  }
}
