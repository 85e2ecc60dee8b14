import { createPrivateKey, X509Certificate } from "node:crypto";
import { tlsErrorText } from "./tlsError.js";
import type { TlsCredentials, TlsFilePaths } from "./tlsFiles.js";

/**
 * Finds what OpenSSL would say of credentials without naming the text that it means, and what it
 * would pass over: a `ca` without a certificate is to it an authority list of nobody, or, when the
 * string is empty, Node's own list of the web's.
 * @throws Error that names the text, by its path where it has one.
 */
export function checkCredentials(credentials: TlsCredentials, paths: TlsFilePaths = {}): void {
  const { cert, key, ca } = credentials;
  const certName = paths.cert ?? "credentials.cert";
  const keyName = paths.key ?? "credentials.key";
  if (ca !== undefined) certificatesIn(ca, paths.ca ?? "credentials.ca");
  const own = cert === undefined ? undefined : certificatesIn(cert, certName)[0]!;
  const secret = key === undefined ? undefined : named(keyName, () => createPrivateKey(key));
  if ((own === undefined) !== (secret === undefined)) {
    const [given, missing] = own === undefined ? [keyName, "cert"] : [certName, "key"];
    throw new Error(`${given} is of no use without credentials.${missing}`);
  }
  if (own !== undefined && !own.checkPrivateKey(secret!)) {
    throw new Error(`${keyName} is not the key of ${certName}`);
  }
}

const certificatePem =
  /-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----[^-]*-----END (?:X509 |TRUSTED )?CERTIFICATE-----/g;

/** All of them, and at least one. */
function certificatesIn(pem: string | Buffer, name: string): X509Certificate[] {
  const text = pem.toString("latin1");
  const found = text.match(certificatePem) ?? [];
  // OpenSSL takes a text that was cut off for one that has ended.
  if (count(text, "-----BEGIN") !== count(text, "-----END")) {
    throw new Error(`${name} is cut off`);
  }
  if (found.length === 0) throw new Error(`${name} holds no certificate in PEM`);
  return found.map((one) => named(name, () => new X509Certificate(one)));
}

function count(text: string, part: string): number {
  return text.split(part).length - 1;
}

function named<T>(name: string, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    const text = error instanceof Error ? tlsErrorText(error) : String(error);
    throw new Error(`${name}: ${text}`, { cause: error });
  }
}
