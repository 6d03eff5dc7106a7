import { readFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "@weft/testkit";

// Messages that are malformed, or that two readers could take for different things. Texts are bytes: each character is one, "{id}" stands for the message's number,
// and "{3 of abc}" for a text so many times.

/** A message of HTTP/1: a request, or an answer. */
export interface Message {
  what: string;
  send: string;
}

/** A request of HTTP/2: what stands in its HEADERS frame, in this order, and what follows. */
export interface Http2Message {
  what: string;
  fields: [name: string, value: string][];
  body?: string;
  trailers?: [name: string, value: string][];
  /** The frame by which the mesh refuses it, whatever servers would make of it; without it, servers may read it, all alike. */
  refused?: "HEADERS" | "RST_STREAM";
}

const file = (name: string) => join(root, "e2e", "corpus", `${name}.json`);

/** Paths of the messages, for the programs that send them. */
export const files = { http1: file("http1"), http2: file("http2"), answers: file("answers") };

export function read<T>(path: string): T[] {
  return JSON.parse(readFileSync(path, "utf8"));
}

/** The bytes of a message's text. */
export function bytes(text: string, id: number): Buffer {
  const long = text.replaceAll(/\{(\d+) of ((?:[^{}]|\{id\})+)\}/g, (_, count, part) => part.repeat(Number(count)));
  return Buffer.from(long.replaceAll("{id}", String(id)), "latin1");
}
