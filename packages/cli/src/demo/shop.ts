import { join } from "node:path";

/** A program of the demo. */
export interface Member {
  /** Its service's name. */
  service: string;
  /** Words that tell this instance from others in messages. */
  title: string;
  /** Its source, which is an example of a program that knows nothing about a mesh. */
  source: string;
  /** Settings of its own. */
  env: Record<string, string>;
  /** Whether it is called by others, and so must show traffic. */
  called: boolean;
  /** Whether its port is opened on this machine's loopback, for curl and browsers. */
  published: boolean;
}

function member(service: string, rest: Partial<Member> = {}): Member {
  const source = join(import.meta.dirname, "services", `${service}.ts`);
  return { service, title: service, source, env: {}, called: true, published: false, ...rest };
}

/** A small shop: `load` visits `web` over HTTP/1.1, which asks `users` over HTTP/2 and `orders` over gRPC, which asks `payments`, which fails at times. */
export const shop: Member[] = [
  member("payments"),
  member("users"),
  member("orders", { title: "orders (fast)", env: { DELAY_MS: "1" } }),
  member("orders", { title: "orders (slow)", env: { DELAY_MS: "25" } }),
  member("web", { published: true }),
  member("load", { called: false }),
];

/** Names of the services that must show traffic. */
export const calledServices: string[] = [...new Set(shop.filter(({ called }) => called).map(({ service }) => service))];
