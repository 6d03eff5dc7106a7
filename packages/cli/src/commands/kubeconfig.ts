import { ApiClient, defaultNamespace } from "@weft/api/light";
import { type Format, print, say } from "../output.ts";

/** Prints what kubectl needs to work on the controller, or ends what was printed before. */
export async function kubeconfig(options: { state: string; output: Format; revoke: boolean }): Promise<void> {
  const client = new ApiClient(options.state);
  if (options.revoke) {
    await client.revokeAccess();
    say("Access over HTTPS is closed. `weft kubeconfig` opens it anew, with another token.");
    return;
  }
  const { server, certificateAuthority, token } = await client.grantAccess();
  const config = {
    apiVersion: "v1",
    kind: "Config",
    clusters: [{ name: "weft", cluster: { server, "certificate-authority-data": Buffer.from(certificateAuthority).toString("base64") } }],
    users: [{ name: "weft", user: { token } }],
    contexts: [{ name: "weft", context: { cluster: "weft", user: "weft", namespace: defaultNamespace } }],
    "current-context": "weft",
  };
  await print(options.output === "json" ? "json" : "yaml", config, () => []);
}
