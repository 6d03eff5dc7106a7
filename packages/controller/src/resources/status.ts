import { type ErrorCode, type WeftError, weftError } from "@weft/api";
import { type Fault, pathText } from "@weft/api/kinds";
import type { ObjectTarget } from "./target.ts";

/** Kubernetes' answer that something was done, or why it was not. */
export interface Status {
  kind: "Status";
  apiVersion: "v1";
  metadata: Record<string, never>;
  status: "Success" | "Failure";
  message?: string;
  /** A word for programs, as Kubernetes has it. */
  reason?: string;
  details?: StatusDetails;
  /** Of HTTP. */
  code: number;
}

interface StatusDetails {
  name?: string;
  group?: string;
  /** The plural. */
  kind?: string;
  uid?: string;
  causes?: Cause[];
}

/** What is wrong. */
interface Cause {
  /** Stable code of Weft. */
  reason: string;
  message: string;
  /** Path of the field in question; empty for the whole object. */
  field?: string;
}

/** An object that was refused for what is in it. */
export class InvalidObject extends Error {
  readonly title: string;
  readonly faults: readonly Fault[];

  /** `title` names the object: `HTTPRoute "users"`. */
  constructor(title: string, faults: readonly Fault[]) {
    super(`${title} is invalid`);
    this.title = title;
    this.faults = faults;
  }
}

const answers: Partial<Record<ErrorCode, [code: number, reason: string]>> = {
  "WEFT-C-BODY-INVALID": [400, "BadRequest"],
  "WEFT-C-QUERY-INVALID": [400, "BadRequest"],
  "WEFT-C-LOCAL-ONLY": [403, "Forbidden"],
  "WEFT-C-NOT-FOUND": [404, "NotFound"],
  "WEFT-C-OBJECT-UNKNOWN": [404, "NotFound"],
  "WEFT-C-METHOD-NOT-ALLOWED": [405, "MethodNotAllowed"],
  "WEFT-C-OBJECT-READ-ONLY": [405, "MethodNotAllowed"],
  "WEFT-C-FORMAT-UNKNOWN": [406, "NotAcceptable"],
  "WEFT-C-OBJECT-EXISTS": [409, "AlreadyExists"],
  "WEFT-C-OBJECT-CHANGED": [409, "Conflict"],
  "WEFT-C-WATCH-EXPIRED": [410, "Expired"],
  "WEFT-C-BODY-TOO-LARGE": [413, "RequestEntityTooLarge"],
  "WEFT-C-BODY-FORMAT-UNKNOWN": [415, "UnsupportedMediaType"],
  "WEFT-C-OBJECT-UNFIT": [422, "Invalid"],
  "WEFT-C-TOO-MANY": [429, "TooManyRequests"],
  "WEFT-C-STORE-BUSY": [503, "ServiceUnavailable"],
  "WEFT-C-STORE-UNWRITABLE": [503, "ServiceUnavailable"],
  "WEFT-C-ADDRESSES-EXHAUSTED": [503, "ServiceUnavailable"],
  "WEFT-C-REGISTRY-UNWRITABLE": [503, "ServiceUnavailable"],
  "WEFT-C-STORE-UNSURE": [504, "Timeout"],
};

/** Why something that was asked of `target` was not done. */
export function failure(error: WeftError | InvalidObject, target?: ObjectTarget): Status {
  const [code, reason] = error instanceof InvalidObject ? [422, "Invalid"] : (answers[error.code as ErrorCode] ?? [500, "InternalError"]);
  const { message, causes } = error instanceof InvalidObject ? toldOfObject(error) : toldOf(error);
  return {
    kind: "Status",
    apiVersion: "v1",
    metadata: {},
    status: "Failure",
    message,
    reason,
    details: { ...named(target), causes },
    code,
  };
}

function toldOf({ code, message, hint }: WeftError): { message: string; causes: Cause[] } {
  return { message: `${[message, hint].filter(Boolean).join(" ")} (${code})`, causes: [{ reason: code, message: hint }] };
}

function toldOfObject({ title, faults }: InvalidObject): { message: string; causes: Cause[] } {
  const causes = faults.map((fault) => ({ reason: fault.code, message: sentence(fault), field: pathText(fault.path) }));
  const message = `${title} is invalid: ${causes.map(({ field, message }) => [field, message].filter(Boolean).join(": ")).join(" ")}`;
  return { message, causes };
}

/** That the object of `target` is gone. */
export function success(target: ObjectTarget, uid: string): Status {
  const details = { ...named(target), uid };
  return { kind: "Status", apiVersion: "v1", metadata: {}, status: "Success", details, code: 200 };
}

function named(target: ObjectTarget | undefined): StatusDetails {
  if (target === undefined) return {};
  const { kind, name } = target;
  return { ...(name === undefined ? {} : { name }), ...(kind.group === "" ? {} : { group: kind.group }), kind: kind.plural };
}

/** What is wrong with a field and what to do, in whole sentences. */
export const sentence = ({ cause, remedy, code }: Fault) => `${cause}. ${remedy}${/[?.]$/.test(remedy) ? "" : "."} (${code})`;

/** A body, query or path that means nothing. */
export const badRequest = (message: string, hint?: string) => weftError("WEFT-C-BODY-INVALID", message, hint === undefined ? {} : { hint });
