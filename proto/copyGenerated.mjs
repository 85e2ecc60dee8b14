// The compiler leaves JavaScript that stands beside its sources where it is: take it along.
import { cpSync } from "node:fs";

cpSync("proto/gen", process.argv[2] ?? "dist/proto/gen", { recursive: true });
cpSync("examples/friend/gen", "dist/examples/friend/gen", { recursive: true });
