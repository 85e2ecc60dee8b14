import { electionMutants } from "./electionMutants.js";
import { joiningMutants } from "./joiningMutants.js";
import { logMutants } from "./logMutants.js";
import type { Mutant } from "./mutant.js";
import { readMutants } from "./readMutants.js";
import { serverMutants } from "./serverMutants.js";
import { snapshotMutants } from "./snapshotMutants.js";

export const mutants: readonly Mutant[] = [
  ...electionMutants,
  ...logMutants,
  ...snapshotMutants,
  ...joiningMutants,
  ...readMutants,
  ...serverMutants,
];
