import { type Controller, DiscoveryStream, startController } from "@weft/controller";

/** A controller in this process that can be made to lose an update. */
export interface LossyController extends Controller {
  /** Swallows the next update of a service, as if it had been lost on the way to its sidecar. Resolves when that has happened. */
  lose(service: string): Promise<void>;
}

/** Starts it on a state directory. Only one at a time in a process. */
export async function startLossyController(stateDir: string): Promise<LossyController> {
  const controller = await startController({ stateDir, pagePort: 0 });
  const { pending } = DiscoveryStream.prototype;
  let losing: { service: string; lost: () => void } | undefined;
  DiscoveryStream.prototype.pending = function* (this: DiscoveryStream) {
    for (const message of pending.call(this)) {
      const update = message.response?.case === "service" ? message.response.value : undefined;
      if (losing !== undefined && update?.service === losing.service) {
        losing.lost();
        losing = undefined;
      } else yield message;
    }
  };
  return {
    ...controller,
    lose: (service) =>
      new Promise((lost) => {
        losing = { service, lost };
      }),
    stop: async () => {
      DiscoveryStream.prototype.pending = pending;
      await controller.stop();
    },
  };
}
