import * as grpc from "./grpc.ts";
import * as http from "./http.ts";
import * as hosts from "./mail-and-ssh.ts";
import * as messaging from "./messaging.ts";
import * as npm from "./npm.ts";
import * as sql from "./sql.ts";
import * as websocket from "./websocket.ts";

// docs/matrix.md, from what the tests do.

const list = (cases: readonly (string | { what: string })[]) =>
  cases.map((one) => `- ${typeof one === "string" ? one : one.what}`).join("\n");

function table(corner: string, columns: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  return [line([corner, ...columns]), line([corner, ...columns].map(() => "---")), ...rows.map(line)].join("\n");
}

/** How many of the cases each client does with each server. */
function httpTable(): string {
  const rows = http.clients.map((client) => [
    `${client.name}, HTTP/${client.version}`,
    ...http.servers.map((server) => (server.versions.includes(client.version) ? String(http.casesOf(client, server).length) : "")),
  ]);
  return table(
    "",
    http.servers.map(({ name }) => name),
    rows,
  );
}

const every = (clients: readonly string[], servers: readonly string[], count: number) =>
  table(
    "",
    servers,
    clients.map((client) => [client, ...servers.map(() => String(count))]),
  );

/** The document. */
export function matrixDocument(): string {
  const others = [...sql.pairs, ...messaging.pairs, ...hosts.pairs].map(
    ({ client, server, cases }) => `### ${client} and ${server}\n\n${list(cases)}`,
  );
  return `# What is shown to work

Real clients call real servers by name, none of them changed, each in a network namespace of its own behind its own sidecar. The tests in \`e2e/matrix\` do
what follows, and this page is written from them: \`WEFT_WRITE=1 npm test -- --match matrix/document\`. Numbers are how many cases a client does with a server; a case
that a client or a server cannot do without a mesh either is left out.

## HTTP

The names stand for: curl; requests of Python; fetch of Node; net/http of Go; HttpClient of Java, kept to HTTP/1.1 or offering an upgrade to h2c, which is answered in
HTTP/1.1; fetch in a page of Chromium; node:http2. Servers: httpbin under gunicorn, nginx, node:http and node:http2, net/http of Go, com.sun.net.httpserver of Java. HTTP/2 is by
prior knowledge.

${httpTable()}

${list(http.cases)}

## gRPC

${every(grpc.libraries, grpc.libraries, grpc.cases.length)}

${list(grpc.cases)}

The official interoperability cases of grpc-go, compared with a run without a mesh: ${Object.keys(grpc.interoperability).join(", ")}.

## WebSocket

The package websockets of Python, ws of Node, and the WebSocket of the web in Node and in Chromium.

${every(websocket.clients, websocket.servers, websocket.cases.length)}

${list(websocket.cases)}

Autobahn's cases end as they do without a mesh.

## Databases, brokers, mail, shells

${others.join("\n\n")}

### npm and verdaccio

${list(npm.cases)}

## Servers that speak first

MariaDB, an SMTP server and an SSH server: less than 20 ms are added to their first byte on the first contact from a sidecar that saw nothing of the service before, and no wait later.
Ports on which servers speak first by custom (21, 22, 25, 110, 143, 587, 3306, 4222) are not waited for; on others the first connection waits 10 ms for its client, and what the port turned
out to be is remembered.
`;
}
