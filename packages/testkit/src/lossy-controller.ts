import { type Controller, Session, startController } from "@weft/controller";

/** A controller in this process that can be made to lose an update. */
export interface LossyController extends Controller {
  /** Swallows the next update that has these bytes in it, as if it had been lost on the way to its sidecar. Resolves when that has happened. */
  lose(text: string): Promise<void>;
}

/** Starts it on a state directory. Only one at a time in a process. */
export async function startLossyController(stateDir: string): Promise<LossyController> {
  const controller = await startController({ stateDir, pagePort: 0 });
  const { next } = Session.prototype;
  let losing: { text: string; lost: () => void } | undefined;
  Session.prototype.next = function (this: Session) {
    const frame = next.call(this);
    if (losing === undefined || frame === undefined || !frame.includes(losing.text)) return frame;
    losing.lost();
    losing = undefined;
    return next.call(this);
  };
  return {
    ...controller,
    lose: (text) =>
      new Promise((lost) => {
        losing = { text, lost };
      }),
    stop: async () => {
      Session.prototype.next = next;
      await controller.stop();
    },
  };
}
