import { type ErrorCode, errorCatalogue, WeftError } from "@weft/api/light";

/** What is wrong with one part of an object. */
export interface RefusalCause {
  /** `spec.rules[0].name`; empty for the whole object. */
  field: string;
  message: string;
}

/** A request that the server did not carry out, as its `Status` says. */
export class Refusal extends WeftError {
  /** Status of HTTP. */
  readonly status: number;
  readonly causes: readonly RefusalCause[];

  constructor(status: number, code: string, message: string, hint: string, causes: readonly RefusalCause[]) {
    super(code, message, hint);
    this.name = "Refusal";
    this.status = status;
    this.causes = causes;
  }
}

/** Whether an error says that there is no such object. */
export const isUnknown = (error: unknown) => error instanceof Refusal && error.code === "WEFT-C-OBJECT-UNKNOWN";
/** Whether an error says that the object is not the one any more that the change was based on. */
export const isConflict = (error: unknown) => error instanceof Refusal && error.code === "WEFT-C-OBJECT-CHANGED";
/** Whether an error says that what happened since is not known any more. */
export const isExpired = (error: unknown) => error instanceof Refusal && error.status === 410;

interface Status {
  reason?: unknown;
  message?: unknown;
  details?: { causes?: unknown } | null;
}

const codes: Record<string, ErrorCode> = {
  NotFound: "WEFT-C-OBJECT-UNKNOWN",
  AlreadyExists: "WEFT-C-OBJECT-EXISTS",
  Conflict: "WEFT-C-OBJECT-CHANGED",
  MethodNotAllowed: "WEFT-C-METHOD-NOT-ALLOWED",
  TooManyRequests: "WEFT-C-STORE-BUSY",
};

/**
 * Reads the body of an answer that is no success; undefined when it is no `Status`. A controller gives Weft's code as the reason of a cause, and says it
 * at the end of the message; another server's reason stands for one.
 */
export function refusalOf(httpStatus: number, body: string): Refusal | undefined {
  const status = parse(body);
  if (typeof status?.message !== "string") return undefined;
  const causes = [status.details?.causes ?? []].flat().map(causeOf);
  const code = causes.findLast(({ reason }) => reason.startsWith("WEFT-"))?.reason ?? codes[String(status.reason)] ?? "WEFT-C-BODY-INVALID";
  const isSaid = status.message.endsWith(` (${code})`);
  const message = isSaid ? status.message.slice(0, -code.length - 3) : status.message;
  return new Refusal(httpStatus, code, message, isSaid ? "" : (errorCatalogue[code as ErrorCode]?.action ?? ""), causes);
}

function causeOf(cause: unknown): RefusalCause & { reason: string } {
  const { reason, message, field } = (cause ?? {}) as Record<string, unknown>;
  const text = (value: unknown) => (typeof value === "string" ? value : "");
  return { reason: text(reason), message: text(message), field: text(field) };
}

function parse(body: string): Status | undefined {
  try {
    return JSON.parse(body);
  } catch {
    return undefined;
  }
}
