import { defineConfig } from "vitest/config";

/** The tests beside C++ processes, which want a compiler: `npm run test:interop`. */
export default defineConfig({
  test: {
    include: ["test/interop/**/*.interop.ts"],
    testTimeout: 60_000,
    hookTimeout: 30_000,
    maxWorkers: 2,
  },
});
