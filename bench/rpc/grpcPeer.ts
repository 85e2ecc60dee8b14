import {
  Client,
  credentials,
  Server,
  ServerCredentials,
  type MethodDefinition,
  type ServiceDefinition,
} from "@grpc/grpc-js";
import { EchoMessage } from "./gen/messages.js";
import { failed, type Caller, type Peer } from "./peer.js";

type Message = EchoMessage.$Properties;

const encode = (message: Message): Buffer => Buffer.from(EchoMessage.encode(message).finish());
const decode = (bytes: Buffer): EchoMessage => EchoMessage.decode(bytes);

const method: MethodDefinition<Message, EchoMessage> = {
  path: "/bench.echo/Echo",
  requestStream: false,
  responseStream: false,
  requestSerialize: encode,
  requestDeserialize: decode,
  responseSerialize: encode,
  responseDeserialize: decode,
};
const service: ServiceDefinition = { Echo: method };

function serve(): Promise<number> {
  const server = new Server();
  server.addService(service, {
    Echo: (
      call: { request: EchoMessage },
      callback: (error: null, reply: EchoMessage) => void,
    ): void => callback(null, call.request),
  });
  return new Promise((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, port) => {
      if (error === null) resolve(port);
      else reject(error);
    });
  });
}

/** With a deadline, as calls of mprpc have one. */
const timeoutMs = 30_000;

class GrpcCaller implements Caller {
  readonly #client: Client;
  readonly #payload: Uint8Array;
  #sequence = 0;

  constructor(port: number, payload: Uint8Array) {
    this.#client = new Client(`127.0.0.1:${port}`, credentials.createInsecure());
    this.#payload = payload;
  }

  call(done: () => void): void {
    const { path, requestSerialize, responseDeserialize } = method;
    this.#client.makeUnaryRequest(
      path,
      requestSerialize,
      responseDeserialize,
      { sequence: ++this.#sequence, payload: this.#payload },
      { deadline: Date.now() + timeoutMs },
      (error) => {
        if (error !== null) failed(error);
        done();
      },
    );
  }

  close(): void {
    this.#client.close();
  }
}

export const grpcPeer: Peer = {
  serve,
  connect: (port, payload) => Promise.resolve(new GrpcCaller(port, payload)),
};
