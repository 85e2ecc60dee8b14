/**
 * What the machine can do: frames with a length before them, echoed as they come. All that arrived
 * in one piece is answered in one write, at once; no ids, no messages, no limits, no deadlines.
 */
import { once } from "node:events";
import { connect as connectSocket, createServer, type AddressInfo, type Socket } from "node:net";
import type { Caller, Peer } from "./peer.js";

const lengthBytes = 4;

/** Cuts a stream into frames; those of a chunk are passed on before `push` returns. */
class Frames {
  #rest: Buffer = Buffer.alloc(0);
  readonly #onFrame: (chunk: Buffer, start: number, end: number) => void;

  constructor(onFrame: (chunk: Buffer, start: number, end: number) => void) {
    this.#onFrame = onFrame;
  }

  push(arrived: Buffer): void {
    const chunk = this.#rest.length === 0 ? arrived : Buffer.concat([this.#rest, arrived]);
    let start = 0;
    while (start + lengthBytes <= chunk.length) {
      const end = start + lengthBytes + chunk.readUInt32LE(start);
      if (end > chunk.length) break;
      this.#onFrame(chunk, start, end);
      start = end;
    }
    this.#rest = chunk.subarray(start);
  }
}

/** Output gathered until `flush`. */
class Output {
  #bytes = Buffer.allocUnsafeSlow(1 << 20);
  #length = 0;
  readonly #socket: Socket;

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  append(bytes: Uint8Array, start: number, end: number): void {
    if (this.#length + end - start > this.#bytes.length) this.flush();
    this.#bytes.set(
      start === 0 && end === bytes.length ? bytes : bytes.subarray(start, end),
      this.#length,
    );
    this.#length += end - start;
  }

  flush(): void {
    if (this.#length === 0) return;
    this.#socket.write(this.#bytes.subarray(0, this.#length));
    if (this.#socket.writableLength > 0) this.#bytes = Buffer.allocUnsafeSlow(1 << 20);
    this.#length = 0;
  }
}

async function serve(): Promise<number> {
  const server = createServer((socket) => {
    socket.setNoDelay(true);
    const output = new Output(socket);
    const frames = new Frames((chunk, start, end) => output.append(chunk, start, end));
    socket.on("data", (chunk: Buffer) => {
      frames.push(chunk);
      output.flush();
    });
    socket.on("error", () => {});
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return (server.address() as AddressInfo).port;
}

class SocketCaller implements Caller {
  readonly #socket: Socket;
  readonly #output: Output;
  readonly #frame: Buffer;
  /** Replies come in order: the oldest call is the next to be answered. */
  #waiting: (() => void)[] = [];
  #first = 0;
  #reading = false;

  constructor(socket: Socket, payload: Uint8Array) {
    this.#socket = socket;
    this.#output = new Output(socket);
    this.#frame = Buffer.alloc(lengthBytes + payload.length);
    this.#frame.writeUInt32LE(payload.length);
    this.#frame.set(payload, lengthBytes);
    const frames = new Frames(() => this.#onReply());
    socket.on("data", (chunk: Buffer) => {
      this.#reading = true;
      frames.push(chunk);
      this.#reading = false;
      this.#output.flush();
    });
  }

  call(done: () => void): void {
    this.#waiting.push(done);
    this.#output.append(this.#frame, 0, this.#frame.length);
    if (!this.#reading) this.#output.flush();
  }

  close(): void {
    this.#socket.destroy();
  }

  #onReply(): void {
    const done = this.#waiting[this.#first++]!;
    if (this.#first === 1024) {
      this.#waiting = this.#waiting.slice(this.#first);
      this.#first = 0;
    }
    done();
  }
}

async function connect(port: number, payload: Uint8Array): Promise<Caller> {
  const socket = connectSocket({ host: "127.0.0.1", port });
  await once(socket, "connect");
  socket.setNoDelay(true);
  return new SocketCaller(socket, payload);
}

export const socketPeer: Peer = { serve, connect };
