import type { Filenames } from "./documents.ts";

/** How objects are printed. */
export const objectFormats = ["table", "wide", "name", "json", "yaml"] as const;
/** One of `objectFormats`. */
export type ObjectFormat = (typeof objectFormats)[number];

/** Options of all commands about objects. */
export interface ResourceOptions {
  state: string;
  /** Without it, `default`. */
  namespace?: string;
}

/** Options of commands that read documents. */
export interface DocumentOptions extends ResourceOptions, Filenames {}
