import type { StorageFs } from "../../raft/persister/storageFs.js";

/** `fs`, with `onRead` told of the bytes of every read; what that throws ends the read. */
export function watchedFs(fs: StorageFs, onRead: (bytes: number) => void): StorageFs {
  return {
    ...fs,
    open: async (path, how) => {
      const file = await fs.open(path, how);
      const read = file.read.bind(file);
      file.read = async (into, position) => {
        const bytes = await read(into, position);
        onRead(bytes);
        return bytes;
      };
      return file;
    },
  };
}
