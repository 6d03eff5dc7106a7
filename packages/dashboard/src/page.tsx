import type { Live } from "@weft/api";
import type { Details } from "./details.ts";
import { ago } from "./format.ts";
import { graphOf } from "./graph.ts";
import type { Layout } from "./layout.ts";
import { Own } from "./own.tsx";
import { type Knowledge, type Phase, phaseOf } from "./phase.ts";
import { Refusals, Services } from "./tables.tsx";
import { Topology } from "./topology.tsx";

function sentence(phase: Phase, known: Knowledge, now: number): { words: string; hint: string } {
  const services = known.live?.services.length ?? 0;
  switch (phase) {
    case "refused":
      return { words: known.refusal?.message ?? "", hint: known.refusal?.hint ?? "" };
    case "no data":
      return { words: "The controller has not answered yet.", hint: "Is it running? weft status says so; weft up starts it." };
    case "stale":
      return {
        words: `The controller is away; last seen ${ago(now - known.seenAt)}. What is below is old. Traffic goes on without it.`,
        hint: "The page connects again by itself. weft up starts the controller.",
      };
    case "idle":
      return services === 0
        ? { words: "No service runs yet.", hint: "weft run NAME -- PROGRAM starts one; weft demo starts several." }
        : { words: "Nothing calls anything now.", hint: "Call a service by its name from another one." };
    case "live":
      return { words: `${services} ${services === 1 ? "service" : "services"}`, hint: "" };
  }
}

function Content({ live, layout }: { live: Live; layout: Layout }) {
  return (
    <>
      {live.services.length > 0 && <Topology graph={graphOf(live)} layout={layout} />}
      {live.services.length > 0 && <Services live={live} />}
      <Refusals live={live} />
    </>
  );
}

/** All that the page shows. */
interface Shown {
  known: Knowledge;
  layout: Layout;
  /** What the user alone sees; undefined without a login. */
  details: Details | undefined;
  /** Why a login was refused. */
  notice: string | undefined;
  now: number;
}

/** The whole page. */
export function Page({ known, layout, details, notice, now }: Shown) {
  const phase = phaseOf(known, now);
  const { words, hint } = sentence(phase, known, now);
  return (
    <>
      <header>
        <h1>Weft</h1>
        <p class={`phase ${phase.replace(" ", "-")}`} role="status">
          <strong>{phase}</strong> {words}
        </p>
        {hint && <p class="hint">{hint}</p>}
        {notice && <p class="hint">{notice}</p>}
      </header>
      <main class={phase === "stale" || phase === "refused" ? "old" : ""}>
        {known.live && <Content live={known.live} layout={layout} />}
        {details ? (
          <Own details={details} />
        ) : (
          <p class="hint">weft dashboard prints a link that shows commands and live requests here, to you alone.</p>
        )}
      </main>
      {known.live && (
        <footer>
          {known.live.status.trustDomain} · controller {known.live.status.version}
        </footer>
      )}
    </>
  );
}
