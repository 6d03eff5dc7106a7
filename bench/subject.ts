// What is measured.

/** A proxy under measurement. */
export interface Subject {
  name: string;
  /** Process whose CPU and memory count. */
  pid: number;
  /** Where the load generator sends its requests. */
  url: string;
}

/** Ends what was started, the last first. */
export type Cleanup = (() => Promise<unknown>)[];
