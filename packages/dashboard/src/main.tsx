import { render } from "preact";
import { graphOf } from "./graph.ts";
import { emptyLayout, layOut } from "./layout.ts";
import { follow } from "./live.ts";
import { Page } from "./page.tsx";
import { nothingKnown } from "./phase.ts";

const place = document.getElementById("page") as HTMLElement;
let known = nothingKnown;
let layout = emptyLayout;

const draw = () => render(<Page known={known} layout={layout} now={Date.now()} />, place);

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
