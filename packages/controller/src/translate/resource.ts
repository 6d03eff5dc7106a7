import { hash } from "node:crypto";
import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import {
  DiscoveryWatchResponseSchema,
  type EndpointSchema,
  EndpointsSchema,
  ResourceType,
  RoutesSchema,
  ServiceSchema,
  type UpdateSchema,
} from "@weft/api/proto";
import type { ServiceEndpoint } from "../graph/views/endpoints.ts";
import { backendsOf, type Routes } from "../graph/views/routes.ts";
import type { ServiceValue } from "../graph/views/service.ts";
import { framed } from "./frame.ts";
import { difference, endpointMessages, routesMessage, serviceMessage } from "./messages.ts";

/** Versions of endpoints that differences can be told from. */
const maxBases = 8;

/** Key of a resource among all. */
export const resourceKey = (type: ResourceType, name: string) => `${type} ${name}`;

type Content = NonNullable<MessageInitShape<typeof UpdateSchema>["content"]>;

interface Current {
  version: string;
  content: Content;
  /** Endpoints by id, each as text by which they are compared; empty for others. */
  endpoints: ReadonlyMap<string, string>;
  leadsTo: readonly string[];
}

/** A resource of the contract: what it is now, encoded once for all who are sent it. */
export class Resource {
  readonly type: ResourceType;
  readonly name: string;
  readonly key: string;
  #current: Current | undefined;
  readonly #bases = new Map<string, Current["endpoints"]>();
  /** Frames of the present version, by base. */
  readonly #frames = new Map<string, Buffer>();

  constructor(type: ResourceType, name: string) {
    this.type = type;
    this.name = name;
    this.key = resourceKey(type, name);
  }

  /** Version of what it is now: a hash of its content. Undefined while there is no such thing. */
  get version(): string | undefined {
    return this.#current?.version;
  }

  /** Keys of what it refers to: the endpoints that routes send requests to. */
  get leadsTo(): readonly string[] {
    return this.#current?.leadsTo ?? [];
  }

  /** Number of endpoints; 0 for other types. */
  get size(): number {
    return this.#current?.endpoints.size ?? 0;
  }

  /** Takes in what a view made of it; answers whether it is another version now. */
  set(value: unknown): boolean {
    const before = this.#current;
    const after = value === undefined ? undefined : currentOf(this.type, value);
    if (before?.version === after?.version) return false;
    this.#current = after;
    this.#frames.clear();
    if (before !== undefined && this.type === ResourceType.ENDPOINTS) this.#remember(before);
    return true;
  }

  /** The update to the present version for whoever holds the version `base`: the difference, or the whole when that is shorter or not known. */
  update(base: string | undefined): { frame: Buffer; base: string } {
    const current = this.#current;
    if (current === undefined) throw new Error(`There is no ${this.key}.`);
    const known = base === undefined ? undefined : this.#frames.get(base);
    if (known !== undefined && base !== undefined) return { frame: known, base };
    const content = base === undefined ? undefined : this.#difference(current, base);
    if (base !== undefined && content !== undefined) return { frame: this.#encode(current.version, base, content), base };
    return { frame: this.#frames.get("") ?? this.#encode(current.version, "", current.content), base: "" };
  }

  #difference({ endpoints, content }: Current, base: string): Content | undefined {
    const before = this.#bases.get(base);
    if (before === undefined || content.case !== "endpoints") return undefined;
    const value = difference(before, endpoints, content.value.endpoints ?? []);
    return value === undefined ? undefined : { case: "endpoints", value };
  }

  #encode(version: string, base: string, content: Content): Buffer {
    const update = { resource: { type: this.type, name: this.name, version }, base, content };
    const message = create(DiscoveryWatchResponseSchema, { response: { case: "update", value: update } });
    const frame = framed(toBinary(DiscoveryWatchResponseSchema, message));
    this.#frames.set(base, frame);
    return frame;
  }

  #remember({ version, endpoints }: Current): void {
    this.#bases.delete(version);
    this.#bases.set(version, endpoints);
    const [oldest] = this.#bases.keys();
    if (this.#bases.size > maxBases && oldest !== undefined) this.#bases.delete(oldest);
  }
}

function currentOf(type: ResourceType, value: unknown): Current {
  if (type === ResourceType.ENDPOINTS) {
    const all = endpointMessages(value as readonly ServiceEndpoint[]);
    return {
      version: versionOf(toBinary(EndpointsSchema, create(EndpointsSchema, { endpoints: all }))),
      content: { case: "endpoints", value: { endpoints: all } },
      endpoints: new Map(all.map((each: MessageInitShape<typeof EndpointSchema>) => [each.id ?? "", JSON.stringify(each)])),
      leadsTo: [],
    };
  }
  const endpoints = new Map<string, string>();
  if (type === ResourceType.ROUTES) {
    const routes = routesMessage(value as Routes);
    const version = versionOf(toBinary(RoutesSchema, create(RoutesSchema, routes)));
    const leadsTo = backendsOf(value as Routes).map((each) => resourceKey(ResourceType.ENDPOINTS, each));
    return { version, content: { case: "routes", value: routes }, endpoints, leadsTo };
  }
  const service = serviceMessage(value as ServiceValue);
  const version = versionOf(toBinary(ServiceSchema, create(ServiceSchema, service)));
  return { version, content: { case: "service", value: service }, endpoints, leadsTo: [] };
}

const versionOf = (bytes: Uint8Array) => hash("sha256", bytes, "base64url").slice(0, 22);

/** Version of the endpoints that a view made. */
export const endpointsVersion = (endpoints: readonly ServiceEndpoint[]) => currentOf(ResourceType.ENDPOINTS, endpoints).version;
