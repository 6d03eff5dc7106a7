import type { MessageInitShape } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import { weftError } from "@weft/api";
import type { CertifyRequest, CertifyResponseSchema, TrustBundleSchema, WatchTrustBundleResponseSchema } from "@weft/api/proto";
import { type Authority, requestedKey } from "../ca/authority.ts";
import { identityOf, trustDomain } from "../model/records.ts";
import type { Services } from "./services.ts";
import { authenticate } from "./session.ts";

/** Identity.Certify. */
export async function certify(
  { mesh, authority, tokens, credentials, log }: Services,
  { csr, proof }: CertifyRequest,
): Promise<MessageInitShape<typeof CertifyResponseSchema>> {
  // First, so that a request that cannot be used does not use up its token.
  const key = await requestedKey(csr);
  let id: string | undefined;
  if (proof.case === "token") {
    id = tokens.redeem(proof.value);
    if (id === undefined) throw weftError("WEFT-C-TOKEN-REFUSED", "The one-time token is unknown, used or expired.");
  } else {
    id = proof.case === "credential" ? credentials.verify(proof.value) : undefined;
    if (id === undefined) throw weftError("WEFT-C-CREDENTIAL-REFUSED", "The request carries no proof of this controller.");
  }
  const workload = mesh.workload(id);
  if (workload === undefined) throw weftError("WEFT-C-WORKLOAD-FORGOTTEN", `Workload ${id} is not registered any more.`);
  const identity = identityOf(workload.record);
  const leaf = await authority.certify(key, { id, identity, address: workload.record.address });
  log.info({ workload: id, identity, notAfter: leaf.notAfter }, "certified");
  return {
    certificateChain: leaf.chain,
    trustBundle: bundle(authority),
    credential: credentials.issue(id),
    identity,
    notBefore: BigInt(leaf.notBefore),
    notAfter: BigInt(leaf.notAfter),
  };
}

/** Identity.WatchTrustBundle: the root does not change while the controller runs. */
export async function* watchTrustBundle(
  services: Services,
  context: HandlerContext,
): AsyncGenerator<MessageInitShape<typeof WatchTrustBundleResponseSchema>> {
  const { id } = authenticate(services, context);
  const leave = services.streams.enter(id);
  try {
    yield { trustBundle: bundle(services.authority) };
    await new Promise<void>((resolve) => context.signal.addEventListener("abort", () => resolve(), { once: true }));
  } finally {
    leave();
  }
}

function bundle(authority: Authority): MessageInitShape<typeof TrustBundleSchema> {
  return { trustDomain, revision: 1n, anchors: [authority.anchor] };
}
