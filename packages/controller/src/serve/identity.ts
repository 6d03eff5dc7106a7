import type { MessageInitShape } from "@bufbuild/protobuf";
import { weftError } from "@weft/api";
import type { CertifyRequest, CertifyResponseSchema } from "@weft/api/proto";
import { requestedKey } from "../ca/authority.ts";
import { identityOf } from "../model/records.ts";
import type { Services } from "./services.ts";
import { unregistered } from "./session.ts";
import { trustBundle } from "./trust.ts";

/** Identity.Certify. */
export async function certify(services: Services, { csr, proof }: CertifyRequest): Promise<MessageInitShape<typeof CertifyResponseSchema>> {
  const { mesh, authority, tokens, credentials, log } = services;
  // First, so that a request that cannot be used does not use up its token.
  const key = await requestedKey(csr);
  let id: string | undefined;
  if (proof.case === "oneTimeToken") {
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
    trustBundle: trustBundle(services),
    credential: credentials.issue(id),
    identity,
    notBefore: BigInt(leaf.notBefore),
    notAfter: BigInt(leaf.notAfter),
  };
}
