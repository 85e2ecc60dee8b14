import { execFile } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { promisify } from "node:util";
import { ByteWriter, type Codec } from "../../../rpc/index.js";
import { runGenerator } from "../../../rpc/gen/cli.js";

const execute = promisify(execFile);

/** A folder of .proto files inside the project, so that what is generated finds its packages. */
export class Protos {
  readonly folder: string;

  constructor(name: string) {
    this.folder = resolve("dist", `${name}-${process.pid}`);
    mkdirSync(this.folder, { recursive: true });
  }

  write(files: Readonly<Record<string, string>>): void {
    for (const [name, text] of Object.entries(files)) {
      const path = join(this.folder, name);
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, text);
    }
  }

  path(name: string): string {
    return join(this.folder, name);
  }

  /** Runs mprpc-gen with `--out` below the folder. */
  async generate(out: string, ...args: string[]) {
    const said = { stdout: "", stderr: "" };
    const runtime = ["--runtime", "../../../rpc/index.js"];
    const code = await runGenerator(["--out", this.path(out), ...runtime, ...args], {
      stdout: (text) => (said.stdout += text),
      stderr: (text) => (said.stderr += text),
    });
    return { code, ...said };
  }

  /** The same in a process of its own, as users run it. */
  async generateApart(out: string, ...args: string[]): Promise<void> {
    const generator = resolve("dist/rpc/gen/main.js");
    const runtime = ["--runtime", "../../../rpc/index.js"];
    await execute(process.execPath, [generator, "--out", this.path(out), ...runtime, ...args]);
  }

  async import(out: string, module = "services"): Promise<Record<string, unknown>> {
    return (await import(this.path(join(out, `${module}.js`)))) as Record<string, unknown>;
  }
}

export type AnyMessage = Record<string, unknown>;

export function codecOf(services: Record<string, unknown>, name: string): Codec<AnyMessage> {
  return services[`${name}Codec`] as Codec<AnyMessage>;
}

export function encode(codec: Codec<AnyMessage>, message: AnyMessage): Buffer {
  const writer = new ByteWriter();
  codec.encode(message, writer);
  return writer.finish();
}
