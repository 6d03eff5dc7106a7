import type { MessageInitShape } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import { weftError } from "@weft/api";
import type { CertifyRequest, CertifyResponseSchema, TrustBundleSchema, WatchTrustBundleResponseSchema } from "@weft/api/proto";
import { requestedKey, serialPrefix } from "../ca/authority.ts";
import { identityOf, trustDomain } from "../model/records.ts";
import type { Services } from "./services.ts";
import { authenticate, unregistered } from "./session.ts";
import { Wakeup } from "./wakeup.ts";

/** Identity.Certify. */
export async function certify(services: Services, { csr, proof }: CertifyRequest): Promise<MessageInitShape<typeof CertifyResponseSchema>> {
  const { mesh, authority, tokens, credentials, log } = services;
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
  if (workload === undefined) throw unregistered(mesh, id);
  const identity = identityOf(workload.record);
  const leaf = await authority.certify(key, { id, identity, address: workload.record.address });
  log.info({ workload: id, identity, notAfter: leaf.notAfter }, "certified");
  return {
    certificateChain: leaf.chain,
    trustBundle: bundle(services),
    credential: credentials.issue(id),
    identity,
    notBefore: BigInt(leaf.notBefore),
    notAfter: BigInt(leaf.notAfter),
  };
}

/** Identity.WatchTrustBundle: the root does not change while the controller runs, but workloads are revoked. */
export async function* watchTrustBundle(
  services: Services,
  context: HandlerContext,
): AsyncGenerator<MessageInitShape<typeof WatchTrustBundleResponseSchema>> {
  const { id } = authenticate(services, context);
  const { signal, leave } = services.streams.enter(id, context.signal);
  const wakeup = new Wakeup();
  services.mesh.on("revoked", wakeup.wake);
  signal.addEventListener("abort", wakeup.wake);
  try {
    while (!signal.aborted) {
      yield { trustBundle: bundle(services) };
      await wakeup.wait();
    }
    if (!context.signal.aborted) throw signal.reason;
  } finally {
    services.mesh.off("revoked", wakeup.wake);
    leave();
  }
}

function bundle({ mesh: { tombstones }, authority }: Services): MessageInitShape<typeof TrustBundleSchema> {
  const revocations = tombstones
    .revocations()
    .map(({ id, until }) => ({ serialPrefix: serialPrefix(id), until: BigInt(Math.ceil(until / 1000)) }));
  return { trustDomain, revision: BigInt(tombstones.revision), anchors: [authority.anchor], revocations };
}
