import { defineConfig } from "vitest/config";

/** Real nodes in network namespaces, for a process that has one of its own: `npm run soak:network`. */
export default defineConfig({
  test: {
    include: ["test/process/network/*.netns.ts"],
    testTimeout: 120_000,
    hookTimeout: 30_000,
  },
});
