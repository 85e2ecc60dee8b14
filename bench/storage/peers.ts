/** What stands in peers/package.json, and is installed only for this benchmark. */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import type { Store } from "./store.js";

/** From the root of the package, where npm runs its scripts. */
const folder = path.resolve("bench/storage/peers");
const requirePeer = createRequire(path.join(folder, "package.json"));

interface SqliteStatement {
  run(...values: unknown[]): unknown;
}

interface SqliteDatabase {
  pragma(text: string): unknown;
  exec(sql: string): unknown;
  prepare(sql: string): SqliteStatement;
  transaction<T>(run: (argument: T) => void): (argument: T) => void;
  close(): void;
}

interface LevelDatabase {
  open(): Promise<void>;
  batch(
    operations: readonly { type: "put"; key: Uint8Array; value: Uint8Array }[],
    options: { readonly sync: boolean },
  ): Promise<void>;
  close(): Promise<void>;
}

interface Sqlite {
  new (file: string): SqliteDatabase;
}

interface Level {
  readonly ClassicLevel: new (
    directory: string,
    options: { readonly keyEncoding: "view"; readonly valueEncoding: "view" },
  ) => LevelDatabase;
}

export function peersInstalled(): boolean {
  return existsSync(path.join(folder, "node_modules"));
}

/** Compiles them where no binary is to be had, which takes minutes and a compiler. */
export function installPeers(): boolean {
  const { status } = spawnSync("npm", ["ci", "--prefix", folder], { stdio: "inherit" });
  return status === 0;
}

/** One transaction a batch, its commit synced: `synchronous` is FULL, and the journal a WAL. */
export class SqliteStore implements Store {
  readonly name = "better-sqlite3";
  private database: SqliteDatabase | null = null;
  private insert: (entries: readonly Uint8Array[]) => void = () => {};
  private last = 0;

  async open(directory: string): Promise<void> {
    const database = new (requirePeer("better-sqlite3") as Sqlite)(path.join(directory, "log.db"));
    database.pragma("journal_mode = WAL");
    database.pragma("synchronous = FULL");
    database.exec("CREATE TABLE log (i INTEGER PRIMARY KEY, term INTEGER, command BLOB)");
    const one = database.prepare("INSERT INTO log VALUES (?, 1, ?)");
    this.insert = database.transaction((entries: readonly Uint8Array[]) => {
      for (const entry of entries) one.run(++this.last, entry);
    });
    this.database = database;
  }

  write(entries: readonly Uint8Array[]): void {
    this.insert(entries);
  }

  close(): void {
    this.database?.close();
  }
}

/** One synced batch for each of ours. */
export class LevelStore implements Store {
  readonly name = "classic-level";
  private database: LevelDatabase | null = null;
  private last = 0;

  async open(directory: string): Promise<void> {
    const { ClassicLevel } = requirePeer("classic-level") as Level;
    const encoding = { keyEncoding: "view", valueEncoding: "view" } as const;
    this.database = new ClassicLevel(path.join(directory, "level"), encoding);
    await this.database.open();
  }

  write(entries: readonly Uint8Array[]): Promise<void> {
    const operations = entries.map((value) => {
      const key = Buffer.alloc(8);
      key.writeBigUInt64BE(BigInt(++this.last));
      return { type: "put" as const, key, value };
    });
    return this.database!.batch(operations, { sync: true });
  }

  async close(): Promise<void> {
    await this.database?.close();
  }
}
