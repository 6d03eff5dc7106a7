import "reflect-metadata";
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as x509 from "@peculiar/x509";

const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
const day = 24 * 3600 * 1000;

/** A root that signs certificates. */
export interface Root {
  name: string;
  key: CryptoKey;
}

/** A certificate with its key, PEM: what Node's TLS takes. */
export interface Credential {
  cert: string;
  key: string;
}

const newKeys = () => crypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);

/** The mesh's own root, as whoever steals it would hold it. */
export async function rootOf(state: string): Promise<Root> {
  const certificate = new x509.X509Certificate(readFileSync(join(state, "ca", "root.pem"), "utf8"));
  const der = x509.PemConverter.decodeFirst(readFileSync(join(state, "ca", "root.key"), "utf8"));
  return { name: certificate.subject, key: await crypto.subtle.importKey("pkcs8", der, algorithm, true, ["sign"]) };
}

/** A root that the mesh does not know, with the name of one that it does. */
export async function impostorOf(root: Root): Promise<Root> {
  return { name: root.name, key: (await newKeys()).privateKey };
}

/** A certificate for `identity` from `root`, valid since ten days until `days` from now (negative: expired since). `serial` begins its serial number, hexadecimal. */
export async function certificate(root: Root, identity: string, days: number, serial = "40"): Promise<Credential> {
  const keys = await newKeys();
  const made = await x509.X509CertificateGenerator.create({
    serialNumber: `${serial}${randomBytes(8).toString("hex")}`,
    issuer: root.name,
    subject: "CN=test",
    notBefore: new Date(Date.now() - 10 * day),
    notAfter: new Date(Date.now() + days * day),
    publicKey: keys.publicKey,
    signingKey: root.key,
    signingAlgorithm: algorithm,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth, x509.ExtendedKeyUsage.clientAuth]),
      new x509.SubjectAlternativeNameExtension([{ type: "url", value: identity }]),
    ],
  });
  return {
    cert: made.toString("pem"),
    key: x509.PemConverter.encode(await crypto.subtle.exportKey("pkcs8", keys.privateKey), "PRIVATE KEY"),
  };
}
