import { create, fromBinary, type MessageInitShape } from "@bufbuild/protobuf";
import {
  type Alias,
  DiscoveryWatchRequestSchema,
  type DiscoveryWatchResponse,
  DiscoveryWatchResponseSchema,
  type Endpoint,
  ResourceType,
  type Update,
} from "@weft/api/proto";
import { FrameReader } from "../frames.ts";

type Request = NonNullable<MessageInitShape<typeof DiscoveryWatchRequestSchema>["request"]>;

/** What a proxy holds of a resource. */
export interface HeldResource {
  version: string;
  content: Update["content"];
  endpoints: Map<string, Endpoint>;
}

/** A proxy's side of Discovery.Watch, as the contract has it: it checks that whatever arrives refers only to what it holds. */
export class FakeProxy {
  readonly held = new Map<string, HeldResource>();
  readonly aliases = new Map<string, Alias>();
  /** What it has to say. */
  readonly answers: Request[] = [];
  /** What is against the contract. */
  readonly violations: string[] = [];
  /** Words for an update that it does not take. */
  refuse: (update: Update) => string | undefined = () => undefined;
  readonly #reader = new FrameReader();

  /** Takes bytes of the stream; answers the messages in them. */
  read(bytes: Buffer): DiscoveryWatchResponse[] {
    const messages = [...this.#reader.push(bytes)].map((message) => fromBinary(DiscoveryWatchResponseSchema, message));
    for (const message of messages) this.take(message);
    return messages;
  }

  take({ response }: DiscoveryWatchResponse): void {
    if (response.case === "alias") this.#point(response.value);
    else if (response.case === "update") this.#update(response.value);
    else if (response.case === "removal") {
      const key = keyOf(response.value);
      if (!this.held.delete(key)) this.violations.push(`${key} is removed, and not held`);
      for (const alias of this.aliases.values())
        if (this.#leads(alias).includes(key)) this.violations.push(`${key} is removed, and ${alias.alias} leads to it`);
    }
  }

  /** What it says first on a stream. */
  hello(): Request[] {
    const resources = [...this.held].map(([key, { version }]) => ({ ...placeOf(key), version }));
    const held: Request[] = resources.length === 0 ? [] : [{ case: "held", value: { resources } }];
    return [{ case: "hello", value: {} }, ...held, ...[...this.aliases.keys()].map((alias) => resolve(alias))];
  }

  /** What it holds, to be compared. */
  content() {
    return {
      aliases: Object.fromEntries(
        [...this.aliases]
          .sort(byKey)
          .map(([name, { service, routedPorts }]) => [
            name,
            { service, routedPorts: routedPorts.map(({ port, routes }) => `${port}=${routes}`) },
          ]),
      ),
      held: Object.fromEntries(
        [...this.held]
          .sort(byKey)
          .map(([key, { version, content, endpoints }]) => [
            key,
            { version, what: content.case === "endpoints" ? [...endpoints].sort(byKey) : content.value },
          ]),
      ),
    };
  }

  #point(alias: Alias): void {
    this.aliases.set(alias.alias, alias);
    for (const key of this.#leads(alias))
      if (!this.held.has(key)) this.violations.push(`${alias.alias} leads to ${key}, which is not held`);
  }

  #leads({ service, routedPorts }: Alias): string[] {
    if (service === "") return [];
    const routes = routedPorts.map((each) => keyOf({ type: ResourceType.ROUTES, name: each.routes }));
    const backends = routes.flatMap((key) => backendsOf(this.held.get(key)?.content));
    const own = [ResourceType.SERVICE, ResourceType.ENDPOINTS].map((type) => keyOf({ type, name: service }));
    return [...own, ...routes, ...backends];
  }

  #update(update: Update): void {
    const { resource, base, content } = update;
    if (resource === undefined) return void this.violations.push("an update names no resource");
    const key = keyOf(resource);
    const before = this.held.get(key);
    const mismatch = base !== "" && before?.version !== base ? "not my base" : undefined;
    const reason = mismatch ?? this.refuse(update);
    if (reason !== undefined) {
      this.answers.push({ case: "rejection", value: { rejected: resource, held: before?.version ?? "", reason } });
      return;
    }
    for (const backend of backendsOf(content))
      if (!this.held.has(backend)) this.violations.push(`${key} sends requests to ${backend}, which is not held`);
    this.held.set(key, { version: resource.version, content, endpoints: endpointsOf(update, base === "" ? undefined : before) });
    this.answers.push({ case: "acknowledgement", value: { resources: [resource] } });
  }
}

export const resolve = (alias: string): Request => ({ case: "resolve", value: { alias } });

/** A message of a proxy. */
export const request = (content: Request) => create(DiscoveryWatchRequestSchema, { request: content } as never);

const keyOf = ({ type, name }: { type: ResourceType; name: string }) => `${ResourceType[type]} ${name}`;

function placeOf(key: string): { type: ResourceType; name: string } {
  const [type = "", name = ""] = key.split(" ");
  return { type: ResourceType[type as keyof typeof ResourceType], name };
}

function endpointsOf({ content }: Update, before: HeldResource | undefined): Map<string, Endpoint> {
  const endpoints = new Map(before?.endpoints);
  if (content.case !== "endpoints") return endpoints;
  for (const id of content.value.removed) endpoints.delete(id);
  for (const endpoint of content.value.endpoints) endpoints.set(endpoint.id, endpoint);
  return endpoints;
}

function backendsOf(content: Update["content"] | undefined): string[] {
  if (content?.case !== "routes") return [];
  const services = content.value.rules
    .flatMap(({ backends }) => backends.map(({ service }) => service))
    .filter((service) => service !== "");
  return services.map((name) => keyOf({ type: ResourceType.ENDPOINTS, name }));
}

function byKey([a]: [string, unknown], [b]: [string, unknown]): number {
  return a < b ? -1 : 1;
}
