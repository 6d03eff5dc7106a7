import type { MessageInitShape } from "@bufbuild/protobuf";
import type { TrustBundleSchema } from "@weft/api/proto";
import { serialPrefix } from "../ca/authority.ts";
import { trustDomain } from "../model/records.ts";
import type { Services } from "./services.ts";

/** Whom sidecars trust. The root does not change while the controller runs, but workloads are revoked. */
export function trustBundle({ mesh: { tombstones }, authority }: Services): MessageInitShape<typeof TrustBundleSchema> {
  const revocations = tombstones
    .revocations()
    .map(({ id, until }) => ({ serialPrefix: serialPrefix(id), until: BigInt(Math.ceil(until / 1000)) }));
  return { trustDomain, revision: BigInt(tombstones.revision), anchors: [authority.anchor], revocations };
}
