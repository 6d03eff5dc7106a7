import { z } from "zod";
import { formed } from "../common/scalars.ts";
import { plainStatus } from "../kind.ts";

/** Fields of a Mesh. */
export const fields = {
  spec: z
    .strictObject({
      trustDomain: formed(/^[a-z0-9._-]+$/, {
        form: "trust domain (a-z, 0-9, dots, hyphens and underscores)",
        like: "weft.local",
        max: 255,
      })
        .default("weft.local")
        .describe("First part of every identity, spiffe://TRUST-DOMAIN/ns/NAMESPACE/sa/ACCOUNT (SPIFFE-ID, 2.1)."),
    })
    .prefault({})
    .describe("What holds for the whole mesh."),
  status: plainStatus,
};
