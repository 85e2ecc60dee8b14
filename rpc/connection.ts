import type { Socket } from "node:net";
import { TLSSocket } from "node:tls";
import { rpcLimits, type RpcOptions } from "../config/options.js";
import type { ByteWriter } from "./byteWriter.js";
import { borrowWriter, returnWriter } from "./outputPool.js";
import { turn } from "./turn.js";

/** Who talks over a connection. */
export interface ConnectionOwner {
  onData(chunk: Buffer): void;
  /** The peer will send nothing more. */
  onEnd(): void;
  /** The socket is gone; called once. `error` is null when it was closed in an orderly way. */
  onClosed(error: Error | null): void;
  /** So much output waits that no more should be made (true), or no longer (false). */
  onOutputFull(full: boolean): void;
}

/** What goes out in one write. */
type Slice = Uint8Array[];

/**
 * One socket with its output gathered: whatever is written during a turn of the event loop goes out
 * in one write, at its end; where that is much, in several, so that the peer works on the first while
 * the next is made. While the kernel takes no more, output gathers here, and the owner is
 * told once there is too much of it. A peer that takes none of it for too long is let go.
 *
 *     open() ─ writer ─► end of turn, or much ─► socket.write ─ taken at once ─► writer is reused
 *                            ▲                      └─ kernel is full: busy ─┐
 *                            └───────────────── written ◄────────────────────┘
 */
export class Connection {
  readonly socket: Socket;
  readonly #owner: ConnectionOwner;
  readonly #outputBytesMax: number;
  readonly #slowReaderTimeoutMs: number;

  #writer: ByteWriter | null = null;
  #flushPlanned = false;
  /** Output cut to the size of one write, the last first, waiting for the one before it. */
  #slices: Slice[] = [];
  #slicesBytes = 0;
  /** The kernel has not taken all of the last write. */
  #busy = false;
  /** Holds what the socket is not done with, and what `#slices` are cut from. */
  #written: ByteWriter | null = null;
  #slowTimer: NodeJS.Timeout | null = null;
  #full = false;
  /** Waits for the output to fall to `#roomBytes`. */
  #onRoom: (() => void) | null = null;
  #roomBytes = 0;
  #closing = false;
  #closed = false;
  #error: Error | null = null;
  #flushes = 0;

  constructor(
    socket: Socket,
    owner: ConnectionOwner,
    options: Pick<RpcOptions, "outputBytesMax" | "slowReaderTimeoutMs">,
  ) {
    this.socket = socket;
    this.#owner = owner;
    this.#outputBytesMax = options.outputBytesMax;
    this.#slowReaderTimeoutMs = options.slowReaderTimeoutMs;
    socket.setNoDelay(true);
    socket.setKeepAlive(true, rpcLimits.tcpKeepAliveMs);
    socket.on("data", (chunk: Buffer) => owner.onData(chunk));
    socket.on("end", () => owner.onEnd());
    socket.on("error", (error) => {
      this.#error ??= error;
    });
    socket.on("close", () => this.#onClose());
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** More output waits than `outputBytesMax`. */
  get outputFull(): boolean {
    return this.#full;
  }

  /** Counts the flushes: what was written before the last one may have reached the peer. */
  get flushes(): number {
    return this.#flushes;
  }

  /** Bytes that the kernel has not taken yet. */
  get outputBytes(): number {
    return this.socket.writableLength + this.#slicesBytes + (this.#writer?.length ?? 0);
  }

  /** Calls `onRoom` once, when no more than `bytes` of output wait. Only the last one is kept. */
  whenRoom(bytes: number, onRoom: () => void): void {
    this.#roomBytes = bytes;
    this.#onRoom = onRoom;
  }

  /**
   * Where to append output of this turn. Not to be kept beyond the current call. `alone`: nothing
   * else is under way here, so that waiting for the end of the turn would gather nothing more; it
   * goes out as soon as what runs now, promises included, has run.
   */
  open(alone = false): ByteWriter {
    if (!this.#flushPlanned) {
      this.#flushPlanned = true;
      if (alone) turn.flushSoon(this.#flush);
      else turn.flush(this.#flush);
    }
    if (this.#gatheredEnough) this.#writeGathered();
    const writer = (this.#writer ??= borrowWriter());
    // Told at once rather than at the flush: this turn may have much more to say.
    if (!this.#full && writer.length > this.#outputBytesMax) this.#updateFull();
    return writer;
  }

  /** The peer can begin with this while the rest of the turn is under way: it need not wait for it. */
  get #gatheredEnough(): boolean {
    if (this.#busy || this.#closed || this.#writer === null) return false;
    return this.#writer.length >= rpcLimits.flushBytes;
  }

  /** Writes `bytes` at once, and alone; `written` is called when the kernel has them. */
  writeAlone(bytes: Uint8Array, written: () => void): void {
    this.#flushes++;
    this.socket.write(bytes, () => {
      this.#watchSlowReader(false);
      written();
    });
    if (this.socket.writableLength > 0) this.#watchSlowReader(true);
  }

  /** Sends what was written, then FIN. */
  closeAfterOutput(): void {
    if (this.#closing || this.#closed) return;
    this.#closing = true;
    this.#flush();
    this.#endWhenEmpty();
  }

  /**
   * Ends with RST: to the original's clerk the one clean failure. Unsent output is lost. `error` is
   * what `onClosed` will tell. A TLS socket can't send one, and none of those clerks speaks TLS.
   */
  reset(error: Error | null = null): void {
    if (this.#closed || this.socket.destroyed) return;
    this.#error ??= error;
    // Behind a FIN there is no reset: the system refuses it, and Node then never closes the socket.
    if (this.socket.writableEnded || this.socket instanceof TLSSocket) this.socket.destroy();
    else this.socket.resetAndDestroy();
  }

  /** Ends at once; `error` is what `onClosed` will tell. */
  destroy(error: Error | null): void {
    this.#error ??= error;
    this.socket.destroy();
  }

  readonly #flush = (): void => {
    this.#flushPlanned = false;
    if (this.#closed) this.#dropOutput();
    else if (!this.#busy) this.#writeGathered();
    this.#updateFull();
  };

  #writeGathered(): void {
    const writer = this.#writer;
    if (writer === null || writer.length === 0) return;
    this.#writer = null;
    this.#flushes++;
    if (writer.hasLent || writer.length > rpcLimits.socketWriteBytesMax) {
      this.#slices = slicesOf(writer.parts());
      this.#slicesBytes = writer.length;
      this.#writeSlices(writer);
      return;
    }
    this.socket.write(writer.view(), this.#onWritten);
    // With nothing waiting in the socket the kernel has copied it all, and the memory is free again.
    // Otherwise, and with TLS always, it is the socket's until that calls back.
    if (this.socket.writableLength === 0) returnWriter(writer);
    else this.#becomeBusy(writer);
  }

  /** One after the other, so that a slow peer can be told from one that is stuck. */
  #writeSlices(writer: ByteWriter | null): void {
    for (let slice = this.#slices.pop(); slice !== undefined; slice = this.#slices.pop()) {
      this.#writeSlice(slice);
      if (this.socket.writableLength === 0) continue;
      this.#becomeBusy(writer);
      return;
    }
    if (writer !== null) returnWriter(writer);
  }

  /** In one system call. */
  #writeSlice(slice: Slice): void {
    if (slice.length > 1) this.socket.cork();
    for (const part of slice) {
      this.#slicesBytes -= part.length;
      this.socket.write(part, this.#onWritten);
    }
    if (slice.length > 1) this.socket.uncork();
  }

  #becomeBusy(written: ByteWriter | null): void {
    this.#busy = true;
    this.#written = written;
    this.#watchSlowReader(true);
  }

  readonly #onWritten = (error?: Error | null): void => {
    // A socket that failed closes; its memory is left to the collector. One that was destroyed says of
    // what it has not written that all is well.
    if (error || this.socket.destroyed) return;
    if (!this.#busy || this.socket.writableLength > 0 || this.#closed) return;
    this.#busy = false;
    const written = this.#written;
    this.#written = null;
    this.#watchSlowReader(false);
    this.#writeSlices(written);
    if (!this.#busy) this.#writeGathered();
    this.#updateFull();
    if (this.#closing) this.#endWhenEmpty();
  };

  #endWhenEmpty(): void {
    if (!this.#busy && !this.#closed) this.socket.destroySoon();
  }

  #updateFull(): void {
    const bytes = this.outputBytes;
    // Half-way down only, so that the owner does not stop and go with every write.
    const full = this.#full ? bytes > this.#outputBytesMax / 2 : bytes > this.#outputBytesMax;
    if (full !== this.#full) {
      this.#full = full;
      if (!this.#closed) this.#owner.onOutputFull(full);
    }
    if (this.#onRoom !== null && bytes <= this.#roomBytes) this.#tellRoom();
  }

  #tellRoom(): void {
    const onRoom = this.#onRoom;
    this.#onRoom = null;
    onRoom?.();
  }

  #watchSlowReader(watch: boolean): void {
    if (this.#slowTimer !== null) clearTimeout(this.#slowTimer);
    this.#slowTimer = null;
    if (!watch || this.#closed) return;
    this.#slowTimer = setTimeout(() => {
      this.reset(new Error(`the peer took nothing for ${this.#slowReaderTimeoutMs} ms`));
    }, this.#slowReaderTimeoutMs);
    this.#slowTimer.unref();
  }

  #onClose(): void {
    this.#closed = true;
    this.#watchSlowReader(false);
    this.#dropOutput();
    this.#owner.onClosed(this.#error);
  }

  #dropOutput(): void {
    this.#written = null;
    if (this.#writer !== null) returnWriter(this.#writer);
    this.#writer = null;
    this.#slices = [];
    this.#slicesBytes = 0;
  }
}

/** The last first. */
function slicesOf(parts: readonly Uint8Array[]): Slice[] {
  const { socketWriteBytesMax } = rpcLimits;
  let slice: Slice = [];
  let room: number = socketWriteBytesMax;
  const slices = [slice];
  for (const part of parts) {
    for (let at = 0; at < part.length;) {
      if (room === 0) {
        slices.push((slice = []));
        room = socketWriteBytesMax;
      }
      const end = Math.min(part.length, at + room);
      slice.push(at === 0 && end === part.length ? part : part.subarray(at, end));
      room -= end - at;
      at = end;
    }
  }
  return slices.toReversed();
}
