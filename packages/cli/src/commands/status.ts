import { ApiClient, type Service, type Status, type Workload } from "@weft/api/light";
import { shownName } from "../names.ts";
import { age, nothing } from "../numbers.ts";
import { type Format, print } from "../output.ts";
import { type Column, colour, escapeControls, table } from "../terminal.ts";

/** Shows the controller, the workloads and the services. */
export async function status(options: { state: string; output: Format }): Promise<void> {
  const client = new ApiClient(options.state);
  const [controller, workloads, services] = await Promise.all([client.status(), client.workloads(), client.services()]);
  await print(options.output, { controller, workloads, services }, () => statusLines({ controller, workloads, services }, Date.now()));
}

/** The status for people, at the time `now` (milliseconds since 1970). */
export function statusLines(
  { controller, workloads, services }: { controller: Status; workloads: Workload[]; services: Service[] },
  now: number,
  paint: typeof colour = colour,
): string[] {
  return [
    `controller  ${controller.version}, process ${controller.pid}, up ${age(Date.parse(controller.startedAt), now)}`,
    `page        ${controller.pageUrl}`,
    `state       ${escapeControls(controller.stateDir)}`,
    ...troubleLines(controller.trouble, now, paint),
    "",
    ...(workloads.length === 0 ? ["No workload runs. Start one: weft run NAME -- PROGRAM"] : table(workloadColumns, workloads, paint)),
    ...(services.length === 0 ? [] : ["", ...table(serviceColumns, services, paint)]),
  ];
}

function troubleLines(trouble: Status["trouble"], now: number, paint: typeof colour): string[] {
  if (trouble === null) return [];
  const what = `the registry cannot be written since ${age(Date.parse(trouble.since), now)}: ${escapeControls(trouble.message)} (${trouble.code})`;
  return [`trouble     ${paint("red", what)}`, "            `weft check` says what to do."];
}

function sidecarCell({ state, restarts }: Workload): string {
  return restarts === 0 ? state : `${state}, ${restarts} ${restarts === 1 ? "restart" : "restarts"}`;
}

const stateColours = { live: "green", starting: "yellow", away: "red" } as const;

const workloadColumns: Column<Workload>[] = [
  { heading: "WORKLOAD", cell: ({ service, namespace }) => shownName({ name: service, namespace }) },
  { heading: "ID", cell: ({ id }) => id },
  { heading: "SIDECAR", cell: sidecarCell, colour: ({ state }) => stateColours[state] },
  { heading: "ADDRESS", cell: ({ address }) => address },
  { heading: "REDIRECTION", cell: ({ redirection }) => redirection ?? nothing },
  { heading: "PROCESS", cell: ({ pid }) => String(pid), align: "right" },
  { heading: "PORTS", cell: ({ ports }) => list(ports.map(({ servicePort, targetPort }) => `${servicePort}:${targetPort}`)) },
  { heading: "ON THIS HOST", cell: ({ published }) => list(published.map((port) => `127.0.0.1:${port}`)) },
];

const serviceColumns: Column<Service>[] = [
  { heading: "SERVICE", cell: shownName },
  { heading: "ADDRESS", cell: ({ virtualAddress }) => virtualAddress },
  { heading: "PORTS", cell: ({ ports }) => list(ports.map(({ port, protocol }) => (protocol ? `${port}/${protocol}` : `${port}`))) },
  { heading: "ENDPOINTS", cell: ({ endpoints }) => String(endpoints.length), align: "right" },
];

function list(items: string[]): string {
  return items.length === 0 ? nothing : items.join(",");
}
