/** An error that people can act on: what happened, and what to do next. */
export class WeftError extends Error {
  /** Stable code, `WEFT-<area>-<NAME>`; docs/errors.md lists them. */
  readonly code: string;
  /** What to do next; empty when there is nothing to do. */
  readonly hint: string;

  constructor(code: string, message: string, hint = "", options?: ErrorOptions) {
    super(message, options);
    this.name = "WeftError";
    this.code = code;
    this.hint = hint;
  }
}

/** The body of every HTTP answer that is an error. */
export interface ErrorBody {
  error: { code: string; message: string; hint: string };
}

/** What a code means and what to do, as docs/errors.md says it. */
export interface CatalogueEntry {
  meaning: string;
  action: string;
}

/** Codes of the controller and of the client of its HTTP API. A code is never reused. */
export const errorCatalogue = {
  "WEFT-C-USAGE": { meaning: "The controller was started with arguments that it does not know.", action: "Start it by `weft up`." },
  "WEFT-C-STATE-UNWRITABLE": {
    meaning: "The state directory cannot be created or written.",
    action: "Make it writable, or name another one in WEFT_STATE.",
  },
  "WEFT-C-STATE-NOT-DIRECTORY": {
    meaning: "The path of the state directory is something else than a directory.",
    action: "Move it away, or name another directory in WEFT_STATE.",
  },
  "WEFT-C-STATE-NOT-OURS": {
    meaning: "The state directory belongs to another user.",
    action: "Name a directory of your own in WEFT_STATE.",
  },
  "WEFT-C-STATE-UNSAFE": {
    meaning:
      "Something in the state directory is a symbolic link, another user's, or not what belongs there: others could write there before.",
    action: "Look who put it there. Move the directory away, or name another one in WEFT_STATE.",
  },
  "WEFT-C-STATE-PATH-TOO-LONG": {
    meaning: "The path of the state directory is too long for a unix socket (107 bytes with the socket's name).",
    action: "Name a shorter directory in WEFT_STATE.",
  },
  "WEFT-C-ALREADY-RUNNING": {
    meaning: "Another controller runs on the same state directory.",
    action: "Use it, or end it by `weft down`.",
  },
  "WEFT-C-PAGE-PORT-IN-USE": {
    meaning: "The port asked for the page, or every port that was tried, is in use.",
    action: "Free it, or choose another with `--page-port`.",
  },
  "WEFT-C-OBJECT-EXISTS": {
    meaning: "An object of this kind, namespace and name is there already.",
    action: "Change that one, or choose another name.",
  },
  "WEFT-C-OBJECT-UNKNOWN": {
    meaning: "There is no object of this kind, namespace and name.",
    action: "Look at the names that there are: somebody may have deleted it.",
  },
  "WEFT-C-OBJECT-CHANGED": {
    meaning: "An object was changed, or deleted and made again, since it was read, so the change was not made.",
    action: "Read it again, and repeat the change.",
  },
  "WEFT-C-OBJECT-UNFIT": {
    meaning: "An object cannot be stored as it is: over 1 MiB, without a name, or a change that does not say of which version.",
    action: "The message says what to change.",
  },
  "WEFT-C-OBJECT-READ-ONLY": {
    meaning: "Objects of this kind are written by the controller alone.",
    action: "Change what they tell of: start and end programs by `weft run`.",
  },
  "WEFT-C-WATCH-EXPIRED": {
    meaning: "What happened since a revision is not known any more, or the revision is another store's.",
    action: "List again, and watch from there: clients do it by themselves.",
  },
  "WEFT-C-STORE-BUSY": {
    meaning: "Changes come faster than they can be made durable, so this one was not made.",
    action: "Repeat it, more slowly.",
  },
  "WEFT-C-STORE-DAMAGED": {
    meaning: "A store's file, or a backup of it, is damaged, was written by a newer version, or is something else.",
    action: "Restore a backup in its place; or move it away with the files beside it that begin with its name, to start with nothing.",
  },
  "WEFT-C-STORE-PRESENT": {
    meaning: "There is a store already where a backup was to be restored.",
    action: "End its controller, move the file away with those beside it that begin with its name, and restore again.",
  },
  "WEFT-C-STORE-UNSURE": {
    meaning: "The disk did not answer in time: a change may have been made or not.",
    action: "Look whether it was made before you repeat it; see why the disk is slow.",
  },
  "WEFT-C-STORE-UNWRITABLE": {
    meaning:
      "A change could not be made durable (disk full, read-only, failing or too slow), so it was not made. What there is can be read.",
    action: "Free space, or make the state directory writable, and repeat.",
  },
  "WEFT-C-REGISTRY-DAMAGED": {
    meaning: "registry.db cannot be read: it is damaged or comes from a newer version.",
    action: "Restore it, or move it away and start again: workloads register anew.",
  },
  "WEFT-C-REGISTRY-UNWRITABLE": {
    meaning: "A change could not be made durable (disk full, read-only or failing), so it was not made.",
    action: "Free space or make the state directory writable, then repeat. Running sidecars go on.",
  },
  "WEFT-C-CA-UNREADABLE": {
    meaning: "The files of the certificate authority are missing in part, damaged or expired.",
    action: "Restore the directory `ca`, or move it away: a new root is made, and running workloads register anew.",
  },
  "WEFT-C-ADDRESSES-EXHAUSTED": {
    meaning: "No virtual or workload address is free.",
    action: "Remove services or workloads; virtual addresses of deleted services are free again after 30 days.",
  },
  "WEFT-C-TOO-MANY": {
    meaning: "A bound is reached: workloads, endpoints, ports, viewers, or what a sidecar may open and ask for.",
    action: "Remove what is no longer used; the message names the bound.",
  },
  "WEFT-C-NAME-INVALID": {
    meaning: "A service or namespace name is no DNS label.",
    action: "Use a-z, 0-9 and hyphens, at most 63 characters.",
  },
  "WEFT-C-WORKLOAD-REMOVED": {
    meaning: "A person removed the workload from the mesh, so it gets no certificate and cannot register itself anew.",
    action: "To have the program back, end it and start it again.",
  },
  "WEFT-C-BODY-INVALID": { meaning: "The body of a request is not what the call takes.", action: "The message names the field." },
  "WEFT-C-BODY-TOO-LARGE": { meaning: "The body of a request is over the limit.", action: "Send less." },
  "WEFT-C-BODY-FORMAT-UNKNOWN": {
    meaning: "The body of a request is of a content type that the call does not take.",
    action: "The message names those that it takes.",
  },
  "WEFT-C-FORMAT-UNKNOWN": {
    meaning: "An answer was asked for in a form that there is not.",
    action: "Accept application/json.",
  },
  "WEFT-C-QUERY-INVALID": { meaning: "A query parameter is out of range.", action: "The message names the range." },
  "WEFT-C-WINDOW-NOT-KEPT": {
    meaning: "Numbers were asked for over a longer time than is kept.",
    action: "Ask for at most 12 hours: `--window 12h`.",
  },
  "WEFT-C-NOT-FOUND": { meaning: "No such call or file.", action: "See ARCHITECTURE.md, HTTP API." },
  "WEFT-C-METHOD-NOT-ALLOWED": { meaning: "The call exists with another method.", action: "See ARCHITECTURE.md, HTTP API." },
  "WEFT-C-READ-ONLY": {
    meaning: "A change was asked for on the TCP port, which only answers GET.",
    action: "Use `weft`, or api.sock in the state directory.",
  },
  "WEFT-C-LOCAL-ONLY": {
    meaning:
      "The call shows more than names and numbers, and is not answered on the page's TCP port, which every user of the machine reaches.",
    action: "Use `weft`, or api.sock in the state directory.",
  },
  "WEFT-C-LOGIN-REFUSED": {
    meaning: "The link by which a browser was to be let in was used already, is older than a minute, or is another controller's.",
    action: "Make another one: `weft dashboard`.",
  },
  "WEFT-C-HOST-REFUSED": {
    meaning: "The Host of the request is not the controller's own: a page elsewhere may be using DNS to reach it.",
    action: "Open the page by the address that `weft status` prints.",
  },
  "WEFT-C-CROSS-SITE-REFUSED": {
    meaning: "The request came from another site's page.",
    action: "Open the page by the address that `weft status` prints.",
  },
  "WEFT-C-WORKLOAD-UNKNOWN": { meaning: "No workload has this id.", action: "It ended or was forgotten: `weft status` lists what runs." },
  "WEFT-C-WORKLOAD-CONFLICT": {
    meaning: "A workload that was forgotten wants its id back, and another service's workload has it.",
    action: "Start the workload again.",
  },
  "WEFT-C-STATE-GONE": {
    meaning: "The state directory, or its registry.db, was deleted or replaced while the controller ran, so it ended.",
    action: "Start a controller by `weft up`: running workloads register anew by themselves.",
  },
  "WEFT-C-ENDPOINT-UNKNOWN": { meaning: "No endpoint without a sidecar has this id.", action: "`weft status -o json` lists them." },
  "WEFT-C-INTERNAL": { meaning: "A fault in the controller.", action: "Please report it with logs/controller.log." },
  "WEFT-C-TELEMETRY-FAILED": {
    meaning:
      "The part of the controller that keeps what sidecars counted failed and begins anew; a report that was under way is sent again.",
    action: "Repeat; if it happens again, report it with logs/controller.log.",
  },
  "WEFT-C-TOKEN-REFUSED": {
    meaning: "A sidecar's one-time token is unknown, used or older than 60 s.",
    action: "Nothing: the sidecar asks its launcher for another.",
  },
  "WEFT-C-CREDENTIAL-REFUSED": {
    meaning: "A stream came without a credential, or with one that this controller did not give.",
    action: "Nothing: the workload registers anew by itself, as its launcher says.",
  },
  "WEFT-C-WORKLOAD-FORGOTTEN": {
    meaning: "A sidecar came back after its workload was removed.",
    action: "Nothing: the workload registers anew by itself, as its launcher says.",
  },
  "WEFT-C-CSR-INVALID": {
    meaning: "A certificate request is malformed, not signed by its own key, or its key is not ECDSA P-256.",
    action: "Report it: the sidecar's version may not fit the controller's.",
  },
  "WEFT-C-STREAM-VIOLATION": {
    meaning: "A sidecar's message does not fit the contract or a bound of it.",
    action: "Report it: the sidecar's version may not fit the controller's.",
  },
  "WEFT-C-SIDECAR-AWAY": {
    meaning: "A sidecar that was to be asked is not connected to the controller.",
    action: "`weft status` says whether it runs; one that was cut off comes back within seconds.",
  },
  "WEFT-C-SIDECAR-SILENT": {
    meaning: "A sidecar did not answer the controller's question in time.",
    action: "Ask again; `weft logs` shows what it does, and an older version does not know the question.",
  },
  "WEFT-R-SYNTAX": { meaning: "A document is no YAML or JSON.", action: "The message names the place." },
  "WEFT-R-ENCODING": { meaning: "A file is not UTF-8.", action: "Save it as UTF-8." },
  "WEFT-R-TOO-LARGE": {
    meaning: "An input, a document, or the number of objects is over its limit.",
    action: "Divide it: the message names the limit.",
  },
  "WEFT-R-KIND-UNKNOWN": {
    meaning: "A document is of a kind, or of a version of one, that Weft does not know.",
    action: "`weft explain` lists the kinds.",
  },
  "WEFT-R-FIELD-UNKNOWN": {
    meaning: "A field is none of its kind, or in the wrong place.",
    action: "The message names what was meant; `weft explain KIND` lists all.",
  },
  "WEFT-R-FIELD-REMOVED": {
    meaning: "A field is of another version or channel of its kind.",
    action: "The message says what stands in its place.",
  },
  "WEFT-R-FIELD-MISSING": { meaning: "A field that is needed is not there.", action: "Add it." },
  "WEFT-R-VALUE-INVALID": {
    meaning: "A value is of another type than its field, or none that it takes.",
    action: "The message says which it takes; `weft explain KIND.FIELD` says more.",
  },
  "WEFT-R-DUPLICATE": { meaning: "A key, an item or an object is there twice.", action: "Leave one of them out." },
  "WEFT-R-RULE": {
    meaning: "Values that are fine by themselves contradict each other, or what they are for.",
    action: "The message says how.",
  },
  "WEFT-R-NO-EFFECT": {
    meaning: "A document is taken, but does not do what it seems to: a warning.",
    action: "The message says why; nothing needs to be done if it is meant so.",
  },
  "WEFT-L-CONTROLLER-NOT-RUNNING": { meaning: "No controller runs on the state directory.", action: "Start one: `weft up`." },
  "WEFT-L-CONTROLLER-UNREACHABLE": {
    meaning: "The controller did not answer, or not as a controller does.",
    action:
      "`weft logs controller` says what it does. To start it anew: `weft down`, or `kill -9` of the process that `controller.lock` in the state directory names if it hangs, and `weft up`.",
  },
} satisfies Record<string, CatalogueEntry>;

/** Code of an error in `errorCatalogue`. */
export type ErrorCode = keyof typeof errorCatalogue;

/** Makes a WeftError whose code is in the catalogue; the hint is the catalogue's action unless told. */
export function weftError(code: ErrorCode, message: string, options: { hint?: string; cause?: unknown } = {}): WeftError {
  const { hint = errorCatalogue[code].action, cause } = options;
  return new WeftError(code, message, hint, cause === undefined ? undefined : { cause });
}
