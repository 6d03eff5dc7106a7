import { kinds } from "@weft/api/kinds";
import { defaultNamespace, WeftError } from "@weft/api/light";
import { isUnknown, ResourceClient, socketTransport } from "@weft/client";
import { usageError } from "../errors.ts";
import { complain } from "../output.ts";
import { readDocuments } from "../resources/documents.ts";
import { missingObject } from "../resources/missing.ts";
import type { DocumentOptions } from "../resources/options.ts";
import { wantedObjects } from "../resources/plan.ts";
import { problemError } from "../resources/problems.ts";
import { parseTargets, shownObject, type Target } from "../resources/targets.ts";
import { namespaceOf } from "./get.ts";

/** What follows `weft delete` on the command line. */
export interface DeleteOptions extends DocumentOptions {
  dryRun: boolean;
  ignoreNotFound: boolean;
}

type Doomed = Required<Target> & { namespace: string | undefined };

/** Deletes objects, and goes on with the others when one cannot be. Answers the exit code. */
export async function deleteObjects(args: string[], options: DeleteOptions): Promise<number> {
  const doomed = options.filename === undefined ? named(args, options) : await described(args, options);
  if (doomed === undefined) return 1;
  const client = new ResourceClient(socketTransport(options.state));
  let failures = 0;
  for (const { kind, name, namespace } of doomed) {
    try {
      await client.delete(kind, { name, namespace }, { dryRun: options.dryRun });
      process.stdout.write(`${shownObject(kind, name)} deleted${options.dryRun ? " (dry run)" : ""}\n`);
    } catch (error) {
      if (!(error instanceof WeftError)) throw error;
      if (isUnknown(error) && options.ignoreNotFound) continue;
      failures += 1;
      complain(isUnknown(error) ? await missingObject(client, kind, name, namespace) : error);
      // Whoever does not answer now will not for the next one.
      if (error.code.startsWith("WEFT-L-")) break;
    }
  }
  return failures === 0 ? 0 : 1;
}

function named(args: string[], options: DeleteOptions): Doomed[] {
  const example = "weft delete httproute users, or weft delete -f routes.yaml";
  return parseTargets(args, example).map(({ kind, name }) => {
    if (name === undefined) throw usageError(`Which ${kind.plural} is missing.`, `For example: ${example}`);
    return { kind, name, namespace: namespaceOf(kind, options) };
  });
}

/** The objects of documents, those first that refer to others. */
async function described(args: string[], options: DeleteOptions): Promise<Doomed[] | undefined> {
  if (args.length > 0) throw usageError("Name objects or documents, not both.", "For example: weft delete -f routes.yaml");
  const { resources, problems, failures } = await readDocuments(options, "delete", options.namespace);
  if (failures.length > 0 || resources.length === 0) {
    for (const error of [...failures, ...problems.map(problemError)]) complain(error);
    return undefined;
  }
  return wantedObjects(resources, kinds, options.namespace, defaultNamespace)
    .reverse()
    .map(({ kind, object: { metadata } }) => ({ kind, name: metadata.name, namespace: metadata.namespace }));
}
