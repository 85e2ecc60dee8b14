// The compiler leaves JavaScript that stands beside its sources where it is: take it along.
import { cpSync } from "node:fs";

cpSync("bench/rpc/gen", "bench/build/bench/rpc/gen", { recursive: true });
