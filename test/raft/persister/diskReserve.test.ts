import { describe, expect, it } from "vitest";
import type { DiskSpace } from "../../../raft/persister/diskReserve.js";
import type { WalPersister } from "../../../raft/persister/walPersister.js";
import { MemoryDisk } from "./memoryDisk.js";
import { entries, open, save } from "./support.js";

const reserve = 100_000;

/** A persister whose disk is looked at when the test says so. */
class Looked {
  readonly disk = new MemoryDisk();
  readonly heard: boolean[] = [];
  readonly logged: string[] = [];
  stops = 0;
  looks = 0;
  private task: () => void = () => {};

  async open(diskReserveBytes = reserve): Promise<WalPersister> {
    const persister = await open(this.disk, {
      diskReserveBytes,
      every: (_ms, task) => {
        this.task = task;
        return () => this.stops++;
      },
      log: (message) => this.logged.push(message),
    });
    persister.onSpace = ({ isLow }: DiskSpace) => this.heard.push(isLow);
    return persister;
  }

  free(bytes: number): void {
    this.disk.freeBytes = () => {
      this.looks++;
      return bytes;
    };
  }

  async look(): Promise<void> {
    this.task();
    await new Promise(setImmediate);
  }
}

describe("the disk's reserve", () => {
  it("is looked at when the directory is opened", async () => {
    const looked = new Looked();
    looked.free(reserve - 1);
    const persister = await looked.open();
    expect(persister.space).toEqual({
      directory: "/data",
      freeBytes: reserve - 1,
      reserveBytes: reserve,
      resumeBytes: 125_000,
      isLow: true,
    });
    await persister.close();
  });

  it("is told when it is touched, and when a quarter more is free again", async () => {
    const looked = new Looked();
    const persister = await looked.open();
    for (const free of [reserve, reserve - 1, 0, reserve, 124_999, 125_000, reserve]) {
      looked.free(free);
      await looked.look();
    }
    expect(looked.heard).toEqual([true, false]);
    expect(persister.space).toMatchObject({ freeBytes: reserve, isLow: false });
    await persister.close();
  });

  it("is looked at before a segment is made", async () => {
    const looked = new Looked();
    const persister = await looked.open();
    looked.free(0);
    await save(persister, { entries: entries(1, 300) });
    await persister.close();
    expect(looked.heard).toEqual([true]);
  });

  it("does not keep what was accepted from being written", async () => {
    const looked = new Looked();
    looked.free(0);
    const persister = await looked.open();
    await save(persister, { hardState: { term: 1, votedFor: 0 }, entries: entries(1, 10) });
    await persister.close();
    const again = await looked.open();
    expect(again.recovered.entries).toHaveLength(10);
    await again.close();
  });

  it("takes a disk that does not tell for one with room, and says so once", async () => {
    const looked = new Looked();
    looked.disk.fault = (operation) => (operation === "freeBytes" ? "ENOSYS" : null);
    const persister = await looked.open();
    await looked.look();
    expect(persister.space.isLow).toBe(false);
    expect(looked.logged).toEqual(["can't tell how much is free"]);
    await persister.close();
  });

  it("of 0 is none, and nobody looks", async () => {
    const looked = new Looked();
    looked.free(0);
    const persister = await looked.open(0);
    await looked.look();
    expect([persister.space.isLow, looked.looks]).toEqual([false, 0]);
    await persister.close();
  });

  it("is not looked at any more when the directory is closed", async () => {
    const looked = new Looked();
    const persister = await looked.open();
    await persister.close();
    looked.free(0);
    await looked.look();
    expect([looked.stops, looked.looks, looked.heard]).toEqual([1, 0, []]);
  });
});
