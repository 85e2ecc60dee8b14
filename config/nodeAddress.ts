import { isIPv4, isIPv6 } from "node:net";

const hostNameCharsMax = 253;
const hostNameLabel = /^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?$/i;

/**
 * The host of a node as a socket wants it: an IPv6 address without its brackets. Null when `text`
 * is neither an address nor a host name.
 */
export function parseHost(text: string): string | null {
  if (text.startsWith("[") && text.endsWith("]")) {
    const inner = text.slice(1, -1);
    return isIPv6(inner) ? inner : null;
  }
  if (isIPv4(text) || isIPv6(text)) return text;
  return isHostName(text) ? text : null;
}

/** A port from 1 to 65535, or null. */
export function parsePort(text: string): number | null {
  if (!/^[0-9]{1,5}$/.test(text)) return null;
  const port = Number(text);
  return port >= 1 && port <= 65_535 ? port : null;
}

/** `host:port`, with brackets around an IPv6 address. */
export function formatAddress(host: string, port: number): string {
  return isIPv6(host) ? `[${host}]:${port}` : `${host}:${port}`;
}

/** One spelling for all ways to write the same address. */
export function canonicalAddress(host: string, port: number): string {
  return formatAddress(isIPv6(host) ? canonicalIPv6(host) : host.toLowerCase(), port);
}

function canonicalIPv6(host: string): string {
  // A URL has no room for a zone ("fe80::1%eth0"): it stays as it is.
  const [address = "", zone] = host.split("%");
  const canonical = new URL(`http://[${address}]`).hostname.slice(1, -1);
  return zone === undefined ? canonical : `${canonical}%${zone}`;
}

function isHostName(text: string): boolean {
  const labels = text.replace(/\.$/, "").split(".");
  // All digits at the end is an IPv4 address gone wrong, such as 127.0.0.256.
  if (/^[0-9]+$/.test(labels.at(-1) ?? "")) return false;
  return text.length <= hostNameCharsMax && labels.every((label) => hostNameLabel.test(label));
}
