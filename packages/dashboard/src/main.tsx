import { render } from "preact";
import { type Details, followDetails } from "./details.ts";
import { graphOf } from "./graph.ts";
import { emptyLayout, layOut } from "./layout.ts";
import { follow } from "./live.ts";
import { Page } from "./page.tsx";
import { nothingKnown } from "./phase.ts";
import { enter, forget, token } from "./session.ts";

const place = document.getElementById("page") as HTMLElement;
let known = nothingKnown;
let layout = emptyLayout;
let details: Details | undefined;
let notice: string | undefined;

const draw = () => render(<Page known={known} layout={layout} details={details} notice={notice} now={Date.now()} />, place);

// "last seen" counts on while nothing comes.
setInterval(draw, 1000);
draw();
void follow((learned) => {
  known = learned;
  if (learned.live) {
    const { nodes, edges } = graphOf(learned.live);
    layout = layOut(
      layout,
      nodes.map(({ id }) => id),
      edges,
    );
  }
  draw();
});

notice = await enter().catch(() => "The controller did not answer the login. Make another link: weft dashboard.");
const own = token();
if (own !== undefined) {
  void followDetails(own, (learned) => {
    details = learned;
    if (learned === undefined) forget();
    draw();
  });
}
draw();
