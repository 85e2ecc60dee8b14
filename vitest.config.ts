import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    testTimeout: 30_000,
    hookTimeout: 30_000,
    // Real processes and real disks share two cores with the tests: more workers only add noise.
    maxWorkers: 2,
  },
});
