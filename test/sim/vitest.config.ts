import { defineConfig } from "vitest/config";

/**
 * The long simulation, of as many seeds as one likes:
 *
 *     SIM_SEED=17 npm run sim          one seed, every event printed
 *     SIM_SEEDS=1..5000 npm run sim
 */
export default defineConfig({
  test: {
    include: ["test/sim/soak.ts"],
    testTimeout: 24 * 3_600_000,
    maxWorkers: 1,
  },
});
