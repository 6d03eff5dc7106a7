import { isDeepStrictEqual } from "node:util";
import { isMapping, type Kind, type Resource, type Service } from "@weft/api/kinds";
import { managedLabel, manager } from "../sources/managed.ts";
import type { StoredObject } from "../store/store.ts";
import { InvalidObject } from "./status.ts";

/** What becomes of an object that somebody writes before it is kept. */
export interface Admission {
  kind: Pick<Kind, "kind" | "apiVersion">;
  /** Valid, its defaults filled in. */
  object: Resource;
  /** What it replaces; undefined when it is new. */
  current: StoredObject | undefined;
  /** Whether nothing may be changed, here or elsewhere. */
  isDryRun: boolean;
}

/** Fills in what the mesh decides of an object, and answers it. */
export type Admit = (admission: Admission) => Resource;

type ServiceName = { namespace: string; name: string };

/** Virtual addresses of Services' names. */
export interface Addresses {
  /** The address of a name; undefined while it has none. */
  addressOf(name: ServiceName): string | undefined;
  /** The address of a name, which gets one if it has none. */
  allocateAddress(name: ServiceName): string;
}

/** Gives Services addresses, and takes those that people change out of the controller's hands. Throws InvalidObject for an address that is not the Service's. */
export function admitBy(addresses: Addresses): Admit {
  return ({ kind, object, current, isDryRun }) => {
    if (kind.kind !== "Service" || kind.apiVersion !== "v1") return object;
    const { namespace = "", name } = object.metadata;
    checkAddress(object, current, addresses.addressOf({ namespace, name }));
    const service = withAddress(asService(object), current && asService(current), () =>
      isDryRun ? undefined : addresses.allocateAddress({ namespace, name }),
    );
    return adopted({ ...object, ...service }, current);
  };
}

const asService = (object: unknown) => object as Pick<Service, "spec">;

const addressOf = ({ spec }: Pick<Service, "spec">) => spec.clusterIP || spec.clusterIPs?.[0];

/** An address leads to one Service: with another's, or one outside of the mesh's range, calls would go elsewhere. */
function checkAddress(object: Resource, current: StoredObject | undefined, own: string | undefined): void {
  const { spec } = asService(object);
  const written = addressOf(asService(object));
  if (written === undefined || written === "None" || spec.type === "ExternalName") return;
  if (written === own || (current !== undefined && written === addressOf(asService(current)))) return;
  const cause = `${written} is not this Service's address`;
  const remedy = "Leave clusterIP and clusterIPs out: the mesh gives each Service an address, which it keeps";
  throw new InvalidObject(`Service "${object.metadata.name}"`, [
    { code: "WEFT-R-VALUE-INVALID", path: ["spec", spec.clusterIP ? "clusterIP" : "clusterIPs"], at: "value", cause, remedy },
  ]);
}

/** A Service keeps the address that it has, and gets one if it is to have one. */
function withAddress(
  service: Pick<Service, "spec">,
  current: Pick<Service, "spec"> | undefined,
  allocate: () => string | undefined,
): Pick<Service, "spec"> {
  const { spec } = service;
  if (spec.type === "ExternalName") return service;
  const kept = current?.spec.type === "ExternalName" ? undefined : current?.spec.clusterIP;
  const clusterIP = addressOf(service) || kept || allocate();
  if (clusterIP === undefined) return service;
  return { ...service, spec: { ...spec, clusterIP, clusterIPs: spec.clusterIPs?.length ? spec.clusterIPs : [clusterIP] } };
}

/** What a person writes is theirs: the controller, which removes what it made, does not touch it again. */
function adopted(object: Resource, current: StoredObject | undefined): Resource {
  const { labels } = object.metadata as { labels?: Record<string, string> };
  if (labels?.[managedLabel] !== manager || (current !== undefined && isSame(object, current))) return object;
  const { [managedLabel]: _, ...others } = labels;
  return { ...object, metadata: { ...object.metadata, labels: others } as Resource["metadata"] };
}

/** Whether two objects say the same, whatever the server says of them. */
function isSame(object: Resource, current: StoredObject): boolean {
  const said = ({ metadata, status: _, ...rest }: { metadata: object; status?: unknown }) => {
    const { labels = {}, annotations = {}, finalizers = [], ownerReferences = [] } = metadata as Record<string, unknown>;
    return { ...rest, labels, annotations, finalizers, ownerReferences };
  };
  return isMapping(current) && isDeepStrictEqual(said(object), said(current));
}
