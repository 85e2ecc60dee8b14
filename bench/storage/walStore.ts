import type { Entry } from "../../raft/core/index.js";
import { WalPersister } from "../../raft/persister/walPersister.js";
import type { Store } from "./store.js";

/** This project's log as Raft uses it. */
export class WalStore implements Store {
  readonly name = "mprpc-raft";
  private persister: WalPersister | null = null;
  private last = 0;

  async open(directory: string): Promise<void> {
    this.persister = await WalPersister.open(directory, { nodeId: 0 });
  }

  write(commands: readonly Uint8Array[]): Promise<void> {
    const persister = this.persister!;
    const entries = commands.map((command): Entry => ({ index: ++this.last, term: 1, command }));
    return new Promise((resolve) => persister.save({ hardState: null, entries }, resolve));
  }

  async close(): Promise<void> {
    await this.persister?.close();
  }
}
