import { hash } from "node:crypto";
import type { Key } from "../store/store.ts";
import type { Reader } from "./reader.ts";

/** Something that a view found to say of an object, for its status and for whoever asks why. */
export interface Finding {
  /** Whose status tells it. */
  readonly object: Key;
  /** Field that it is about: `spec.rules[0].backendRefs[1]`. */
  readonly path: string;
  /** One word for programs: Gateway API's where it has one. */
  readonly reason: string;
  /** What is so, what happens instead, what to do. */
  readonly message: string;
  /** Statement of the status that is not as people want it; undefined where none is about it. */
  readonly condition?: "Accepted" | "ResolvedRefs" | "PartiallyInvalid";
  /** Index of the parentRef that it is about; undefined for all of them. */
  readonly parent?: number;
}

/** What a view makes of a key: undefined when there is no such thing. */
export interface Result<Value> {
  readonly value: Value | undefined;
  readonly findings: readonly Finding[];
}

/** A pure function of what it reads. Values are JSON, with fields always in the same order, and nobody changes them. */
export interface View<Value> {
  readonly name: string;
  make(reader: Reader, key: string): Result<Value>;
}

/** A hash of content: the same wherever and whenever it is made. */
export function versionOf(content: unknown): string {
  return hash("sha256", JSON.stringify(content) ?? "", "base64url").slice(0, 22);
}
