import { z } from "zod";

/** The 4 or 16 bytes of an IP address; undefined when it is none. Zeros before a number and addresses of IPv4 within IPv6 are none, as in Kubernetes. */
export function bytesOf(address: string): number[] | undefined {
  if (/^((25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(\.(?!$)|$)){4}$/.test(address)) return address.split(".").map(Number);
  // What a URL takes for an address it writes in one form: lower case, the longest run of zeros as `::`.
  if (!/^[\da-f:.]+$/i.test(address) || !address.includes(":") || !URL.canParse(`http://[${address}]`)) return undefined;
  const [before = "", after] = new URL(`http://[${address}]`).hostname.slice(1, -1).split("::");
  const groups = (part: string) => (part === "" ? [] : part.split(":"));
  const [first, last] = [groups(before), groups(after ?? "")];
  const all = [...first, ...Array<string>(8 - first.length - last.length).fill("0"), ...last];
  const bytes = all.flatMap((group) => [Number.parseInt(group, 16) >> 8, Number.parseInt(group, 16) & 255]);
  const isIpv4Within = bytes.slice(0, 10).every((byte) => byte === 0) && bytes[10] === 255 && bytes[11] === 255;
  return isIpv4Within ? undefined : bytes;
}

/** Whether calls to an address stay on the caller's machine or link, or lead nowhere: loopback, link-local and unspecified addresses. */
export function isSpecialAddress(address: string): boolean {
  const bytes = bytesOf(address) ?? [];
  const [a = 0, b = 0, c = 0] = bytes;
  if (bytes.every((byte) => byte === 0)) return true;
  if (bytes.length === 4) return a === 127 || (a === 169 && b === 254) || (a === 224 && b === 0 && c === 0);
  const isLoopback = bytes.slice(0, 15).every((byte) => byte === 0) && bytes[15] === 1;
  return isLoopback || (a === 0xfe && (b & 0xc0) === 0x80) || (a === 0xff && (b & 0x0f) === 2);
}

/** Whether a text is a range of addresses, such as 10.0.0.0/8, with nothing set beyond its prefix. */
export function isNetwork(text: string): boolean {
  const [address = "", length = "", ...more] = text.split("/");
  const bytes = bytesOf(address);
  if (bytes === undefined || more.length > 0 || !/^(0|[1-9]\d{0,2})$/.test(length) || Number(length) > bytes.length * 8) return false;
  const bits = bytes.map((byte) => byte.toString(2).padStart(8, "0")).join("");
  return !bits.slice(Number(length)).includes("1");
}

const isAddress = (text: string) => bytesOf(text) !== undefined;

/** An IP address. */
export const ipAddress = z.string().refine(isAddress, refusal("IP address", "10.0.0.1 or fd00::1"));

/** An IP address, or one of some words. */
export const ipAddressOr = (...words: string[]) =>
  z.string().refine((text) => words.includes(text) || isAddress(text), refusal("IP address", `10.0.0.1 or ${words.at(-1)}`));

/** A range of IP addresses; blanks around it are allowed, as in Kubernetes. */
export const network = z
  .string()
  .refine((text) => isNetwork(text.trim()), refusal("range of addresses", "10.0.0.0/8, with nothing set beyond the prefix"));

function refusal(form: string, like: string) {
  return { params: { cause: `it is no ${form}`, remedy: `Write it like ${like}` } };
}
