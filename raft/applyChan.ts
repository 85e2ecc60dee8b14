import type { ApplyMsg } from "./applyMsg.js";

export interface ApplyChanLimits {
  readonly applyEntriesMax: number;
  readonly applyBytesMax: number;
}

/** Takes messages; a promise holds back those that follow until it resolves. */
export type ApplyConsumer = (batch: readonly ApplyMsg[]) => void | Promise<void>;

/**
 * The bounded queue between Raft and the state machine (the original's LockQueue). KvServer creates
 * it and passes it to `Raft.init`; Raft stops pushing while it is full, for what is not pushed yet
 * stays in the log.
 */
export class ApplyChan {
  /** Set by the producer; called when there is room again after `push` returned false. */
  onRoom: () => void = () => {};
  private readonly limits: ApplyChanLimits;
  private messages: ApplyMsg[] = [];
  private bytes = 0;
  private waiting: ((batch: ApplyMsg[] | null) => void) | null = null;
  private consumer: ApplyConsumer | null = null;
  private consuming = false;
  private ended: { resolve: () => void; reject: (error: unknown) => void } | null = null;
  private wantsRoom = false;
  private closed = false;

  constructor(limits: ApplyChanLimits) {
    this.limits = limits;
  }

  get length(): number {
    return this.messages.length;
  }

  get hasRoom(): boolean {
    const { applyEntriesMax, applyBytesMax } = this.limits;
    return this.messages.length < applyEntriesMax && this.bytes < applyBytesMax;
  }

  /** Adds a message; returns whether another one may follow now. */
  push(message: ApplyMsg): boolean {
    if (this.closed) return false;
    this.messages.push(message);
    if (message.commandValid) this.bytes += message.command.length;
    this.wantsRoom = !this.hasRoom;
    return !this.wantsRoom;
  }

  /**
   * Wakes the consumer. Apart from `push`, so that a producer with many messages wakes it once.
   */
  flush(): void {
    if (this.consumer !== null) this.deliver(this.consumer);
    if (this.waiting === null || this.messages.length === 0) return;
    const resolve = this.waiting;
    this.waiting = null;
    resolve(this.take());
  }

  /** All messages there are, once there is one; null after `close`. One consumer at a time. */
  popBatch(): Promise<ApplyMsg[] | null> {
    if (this.messages.length > 0) return Promise.resolve(this.take());
    if (this.closed) return Promise.resolve(null);
    return new Promise((resolve) => {
      this.waiting = resolve;
    });
  }

  /**
   * Hands every batch to `consumer` as soon as it is there, in the producer's own turn, so that a
   * reply goes out with the turn that committed its entry. Resolves after `close`; rejects with
   * what `consumer` threw, and then nothing more is handed over. Instead of `popBatch`.
   */
  consume(consumer: ApplyConsumer): Promise<void> {
    const ended = new Promise<void>((resolve, reject) => {
      this.ended = { resolve, reject };
    });
    this.consumer = consumer;
    this.flush();
    return ended;
  }

  /** Messages one by one, for a consumer that need not be fast. */
  async *[Symbol.asyncIterator](): AsyncGenerator<ApplyMsg> {
    for (;;) {
      const batch = await this.popBatch();
      if (batch === null) return;
      yield* batch;
    }
  }

  /** Ends the consumer; what was not taken is dropped. */
  close(): void {
    this.closed = true;
    this.messages = [];
    this.bytes = 0;
    this.waiting?.(null);
    this.waiting = null;
    if (!this.consuming) this.ended?.resolve();
  }

  private deliver(consumer: ApplyConsumer): void {
    if (this.consuming) return;
    this.consuming = true;
    try {
      while (this.messages.length > 0) {
        const later = consumer(this.take());
        if (later === undefined) continue;
        later.then(
          () => this.goOn(consumer),
          (error: unknown) => this.ended?.reject(error),
        );
        return;
      }
    } catch (error) {
      this.ended?.reject(error);
      return;
    }
    this.consuming = false;
    if (this.closed) this.ended?.resolve();
  }

  private goOn(consumer: ApplyConsumer): void {
    this.consuming = false;
    if (this.closed) this.ended?.resolve();
    else this.deliver(consumer);
  }

  private take(): ApplyMsg[] {
    const batch = this.messages;
    this.messages = [];
    this.bytes = 0;
    if (this.wantsRoom) {
      this.wantsRoom = false;
      this.onRoom();
    }
    return batch;
  }
}
