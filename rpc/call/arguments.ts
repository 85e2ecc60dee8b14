import { parseArgs } from "node:util";
import { TlsFiles, type ClientTlsOptions, type Metadata } from "../index.js";

export const usage = `usage: mprpc-call [options] HOST:PORT list [SERVICE]
       mprpc-call [options] HOST:PORT describe [NAME]
       mprpc-call [options] HOST:PORT SERVICE.METHOD [JSON]

Lists the services of a server, or the methods of one; describes services, messages and enums as
.proto declarations; or calls a method and prints the reply as a line of JSON, and of a stream one
line a message. JSON is the request in protobuf's JSON mapping (default: {}; "-": read from standard
input): bytes are base64, 64-bit integers strings. A service may be named without its package. What
the server offers is asked of its Reflection service, or read from .proto files.

  --proto FILE          a .proto file to use instead of reflection; may be given several times
  --proto-path DIR      where to look for files that it imports; may be given several times
  --timeout-ms N        deadline of each call in ms (default: 30000; of a stream: none)
  --metadata KEY=VALUE  sent beside the request; may be given several times
  -v, --verbose         write the reply's metadata to standard error

  --tls                 speak TLS; the options below imply it
  --ca FILE             PEM of the authorities to believe (default: those that Node.js trusts)
  --cert FILE           PEM of the certificate to show, where the server asks for one; with --key
  --key FILE            PEM of its key
  --servername NAME     what the server's certificate must name (default: HOST)
  --insecure            believe any certificate: for experiments only
  --help                this text

Exit code 0 when the call ended with OK, 64 and the number of its status when it did not
(78: UNAVAILABLE), 1 for what no schema declares and for a bad .proto file, 2 for bad arguments.
`;

/** Of arguments that make no sense; answered with the usage. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

export interface Command {
  readonly host: string;
  readonly port: number;
  /** `list`, `describe` or a method. */
  readonly target: string;
  readonly argument: string | undefined;
  readonly files: readonly string[];
  readonly importPaths: readonly string[];
  readonly timeoutMs: number | undefined;
  readonly metadata: Metadata;
  readonly tls: ClientTlsOptions | undefined;
  readonly verbose: boolean;
}

/** @throws UsageError */
export function readCommand(args: readonly string[]): Command | "help" {
  const { values, positionals } = parse(args);
  if (values.help) return "help";
  const [address, target, argument, ...rest] = positionals;
  if (address === undefined || target === undefined || rest.length > 0) {
    throw new UsageError("HOST:PORT and a method, list or describe are needed, and one argument");
  }
  return {
    ...readAddress(address),
    target,
    argument,
    files: values.proto,
    importPaths: values["proto-path"],
    timeoutMs: readTimeout(values["timeout-ms"]),
    metadata: values.metadata.map(readMetadata),
    tls: readTls(values),
    verbose: values.verbose,
  };
}

const option = { type: "string" } as const;
const flag = { type: "boolean", default: false } as const;
const repeated = { type: "string", multiple: true, default: [] as string[] } as const;
const options = {
  proto: repeated,
  "proto-path": repeated,
  "timeout-ms": option,
  metadata: repeated,
  verbose: { ...flag, short: "v" },
  tls: flag,
  ca: option,
  cert: option,
  key: option,
  servername: option,
  insecure: flag,
  help: flag,
} as const;

function parse(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], allowPositionals: true, options });
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

/** An IPv6 address stands in brackets: `[::1]:7788`. */
function readAddress(text: string): { readonly host: string; readonly port: number } {
  const [, bracketed, plain, digits] = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(text) ?? [];
  const host = bracketed ?? plain;
  const port = Number(digits);
  if (host === undefined || port < 1 || port > 65_535) {
    throw new UsageError(`${text} is not of the form HOST:PORT`);
  }
  return { host, port };
}

function readTimeout(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new UsageError(`--timeout-ms is no number: ${text}`);
  return Number(text);
}

function readMetadata(text: string): Metadata[number] {
  const [, key, value] = /^([a-z0-9_.-]+)=(.*)$/s.exec(text) ?? [];
  if (key === undefined || value === undefined) {
    throw new UsageError(`--metadata is KEY=VALUE with a key of a-z, 0-9, _ . -, not ${text}`);
  }
  return { key, value: Buffer.from(value) };
}

interface TlsValues {
  readonly tls: boolean;
  readonly insecure: boolean;
  readonly ca?: string | undefined;
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
  readonly servername?: string | undefined;
}

function readTls(values: TlsValues): ClientTlsOptions | undefined {
  const { tls, insecure, ca, cert, key, servername } = values;
  if ((cert === undefined) !== (key === undefined)) {
    throw new UsageError("--cert and --key belong together");
  }
  const named = [ca, cert, servername].some((value) => value !== undefined);
  if (!tls && !insecure && !named) return undefined;
  return {
    credentials: new TlsFiles({ ca, cert, key }),
    rejectUnauthorized: !insecure,
    ...(servername === undefined ? {} : { servername }),
  };
}
