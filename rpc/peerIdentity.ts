import type { X509Certificate } from "node:crypto";
import type { TLSSocket } from "node:tls";

/** Who a caller is by its certificate. */
export interface PeerIdentity {
  /** The provider's `ca` vouches for it. Always true unless `rejectUnauthorized` is false. */
  readonly authorized: boolean;
  /** One line for each part: `CN=alice`. Empty when the certificate has none. */
  readonly subject: string;
  /** `DNS:alice.example`, `URI:spiffe://example/alice`, `IP Address:192.0.2.1` ... */
  readonly subjectAltNames: readonly string[];
  /** SHA-256 of the certificate, as `AB:CD:...`. */
  readonly fingerprint256: string;
  readonly certificate: X509Certificate;
}

/** Who is at the other end of `socket`; undefined when it has shown no certificate. */
export function peerIdentity(socket: TLSSocket): PeerIdentity | undefined {
  const certificate = socket.getPeerX509Certificate();
  if (certificate === undefined) return undefined;
  // Its type has it always; a certificate whose names are all alternative ones has none.
  const subject: string | undefined = certificate.subject;
  return {
    authorized: socket.authorized,
    subject: subject ?? "",
    subjectAltNames: splitAltNames(certificate.subjectAltName ?? ""),
    fingerprint256: certificate.fingerprint256,
    certificate,
  };
}

/** A name up to the next comma; commas between quotes belong to it. */
const altName = /(?:[^,"]|"(?:[^"\\]|\\.)*")+/g;

/**
 * The names in Node's one string of them. A name that holds a comma or a quote is in quotes there,
 * as a JSON string, so that no name can pass for two (CVE-2021-44532).
 */
export function splitAltNames(names: string): string[] {
  return (names.match(altName) ?? []).map((name) => unquote(name.trim()));
}

function unquote(name: string): string {
  const start = name.indexOf('"');
  if (start < 0 || !name.endsWith('"')) return name;
  try {
    return name.slice(0, start) + String(JSON.parse(name.slice(start)));
  } catch {
    return name;
  }
}
