import "reflect-metadata";
import { createHash, randomBytes } from "node:crypto";
import * as x509 from "@peculiar/x509";
import { weftError } from "@weft/api";
import { trustDomain } from "../model/records.ts";

const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
const backdateMs = 60_000;
// A root made by a clock that runs ahead must be valid when the clock is set right.
const rootBackdateMs = 30 * 24 * 3600 * 1000;
const rootLifeMs = 10 * 365 * 24 * 3600 * 1000;

/** Life of a workload's certificate, milliseconds. */
export const leafLifeMs = 24 * 3600 * 1000;

// Its key is in the controller's memory alone, and goes with it.
const loopbackLifeMs = 2 * 365 * 24 * 3600 * 1000;

/** A root: what peers are trusted by, and what signs their certificates. PEM. */
export interface RootFiles {
  certificate: string;
  key: string;
}

/** A certificate of a workload. */
export interface Leaf {
  /** DER, leaf first. */
  chain: Uint8Array[];
  /** Validity, seconds since 1970. */
  notBefore: number;
  notAfter: number;
}

/** Makes a new root: ECDSA P-256, 10 years. */
export async function createRoot(): Promise<RootFiles> {
  const keys = await crypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: serialNumber(),
    name: `CN=Weft root ${randomBytes(4).toString("hex")}, O=${trustDomain}`,
    notBefore: new Date(Date.now() - rootBackdateMs),
    notAfter: new Date(Date.now() + rootLifeMs),
    keys,
    signingAlgorithm: algorithm,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      new x509.SubjectAlternativeNameExtension([{ type: "url", value: `spiffe://${trustDomain}` }]),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  const key = x509.PemConverter.encode(await crypto.subtle.exportKey("pkcs8", keys.privateKey), "PRIVATE KEY");
  return { certificate: certificate.toString("pem"), key };
}

/** The certificate authority of the trust domain. */
export class Authority {
  readonly #root: x509.X509Certificate;
  readonly #key: CryptoKey;
  readonly #authorityKeyId: x509.AuthorityKeyIdentifierExtension;

  private constructor(root: x509.X509Certificate, key: CryptoKey, authorityKeyId: x509.AuthorityKeyIdentifierExtension) {
    this.#root = root;
    this.#key = key;
    this.#authorityKeyId = authorityKeyId;
  }

  /** Takes up a root. Throws when certificate and key do not belong together, or it is not valid now. */
  static async open({ certificate, key }: RootFiles): Promise<Authority> {
    const root = new x509.X509Certificate(certificate);
    const der = x509.PemConverter.decodeFirst(key);
    const signer = await crypto.subtle.importKey("pkcs8", der, algorithm, false, ["sign"]);
    const probe = randomBytes(32);
    const signature = await crypto.subtle.sign(algorithm, signer, probe);
    const verifier = await root.publicKey.export(algorithm, ["verify"]);
    if (!(await crypto.subtle.verify(algorithm, verifier, signature, probe))) throw new Error("key and certificate do not belong together");
    const now = new Date();
    if (root.notBefore > now || root.notAfter < now) {
      throw new Error(
        `the root is valid from ${root.notBefore.toISOString()} to ${root.notAfter.toISOString()}, and now is ${now.toISOString()}`,
      );
    }
    return new Authority(root, signer, await x509.AuthorityKeyIdentifierExtension.create(root.publicKey));
  }

  /** The root, DER. */
  get anchor(): Uint8Array {
    return new Uint8Array(this.#root.rawData);
  }

  /** The root, PEM. */
  get anchorPem(): string {
    return this.#root.toString("pem");
  }

  /** Validity of the root. */
  get validity(): { notBefore: Date; notAfter: Date } {
    return { notBefore: this.#root.notBefore, notAfter: this.#root.notAfter };
  }

  /** Signs a certificate for a key that `requestedKey` answered. */
  async certify(publicKey: x509.PublicKey, subject: { id: string; identity: string; address: string }): Promise<Leaf> {
    const certificate = await this.#sign(publicKey, {
      serialNumber: serialNumber(serialPrefix(subject.id)),
      subject: subject.id,
      lifeMs: leafLifeMs,
      usages: [x509.ExtendedKeyUsage.serverAuth, x509.ExtendedKeyUsage.clientAuth],
      names: [
        { type: "url", value: subject.identity },
        { type: "ip", value: subject.address },
      ],
    });
    return {
      chain: [new Uint8Array(certificate.rawData)],
      notBefore: Math.floor(certificate.notBefore.getTime() / 1000),
      notAfter: Math.floor(certificate.notAfter.getTime() / 1000),
    };
  }

  /** A key of its own and a certificate for a server on this machine's loopback, PEM. It names no workload, so that no sidecar takes it for one. */
  async certifyLoopback(): Promise<{ cert: string; key: string }> {
    const keys = await crypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
    const certificate = await this.#sign(await x509.PublicKey.create(keys.publicKey), {
      serialNumber: serialNumber(),
      subject: "Weft controller",
      lifeMs: loopbackLifeMs,
      usages: [x509.ExtendedKeyUsage.serverAuth],
      names: [
        { type: "dns", value: "localhost" },
        { type: "ip", value: "127.0.0.1" },
      ],
    });
    const key = x509.PemConverter.encode(await crypto.subtle.exportKey("pkcs8", keys.privateKey), "PRIVATE KEY");
    return { cert: certificate.toString("pem"), key };
  }

  async #sign(publicKey: x509.PublicKey, { serialNumber, subject, lifeMs, usages, names }: Request): Promise<x509.X509Certificate> {
    return x509.X509CertificateGenerator.create({
      serialNumber,
      issuer: this.#root.subject,
      subject: `CN=${subject}`,
      notBefore: new Date(Date.now() - backdateMs),
      notAfter: new Date(Math.min(Date.now() + lifeMs, this.#root.notAfter.getTime())),
      publicKey,
      signingKey: this.#key,
      signingAlgorithm: algorithm,
      extensions: [
        new x509.BasicConstraintsExtension(false, undefined, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
        new x509.ExtendedKeyUsageExtension(usages),
        new x509.SubjectAlternativeNameExtension(names),
        await x509.SubjectKeyIdentifierExtension.create(publicKey),
        this.#authorityKeyId,
      ],
    });
  }
}

/** What a certificate is to say. */
interface Request {
  serialNumber: string;
  subject: string;
  lifeMs: number;
  usages: x509.ExtendedKeyUsage[];
  names: x509.JsonGeneralNames;
}

/**
 * The key that a certification request (DER) is for. Throws WEFT-C-CSR-INVALID when the request is malformed, not signed by its own key, or the key is not
 * ECDSA P-256.
 */
export async function requestedKey(csr: Uint8Array): Promise<x509.PublicKey> {
  let request: x509.Pkcs10CertificateRequest;
  let verified: boolean;
  try {
    request = new x509.Pkcs10CertificateRequest(new Uint8Array(csr));
    const { name, namedCurve } = request.publicKey.algorithm as EcKeyAlgorithm;
    if (name !== "ECDSA" || namedCurve !== "P-256") throw new Error(`its key is ${name} ${namedCurve ?? ""}, not ECDSA P-256`);
    verified = await request.verify();
  } catch (cause) {
    throw weftError("WEFT-C-CSR-INVALID", `The certificate request cannot be used: ${(cause as Error).message}.`, { cause });
  }
  if (!verified) throw weftError("WEFT-C-CSR-INVALID", "The certificate request is not signed by the key that it names.");
  return request.publicKey;
}

/**
 * The first 8 octets of the serial numbers of a workload's certificates. They follow from its id, so that all of its certificates can be refused without a list of
 * those that were given.
 */
export function serialPrefix(workload: string): bigint {
  return positive(createHash("sha256").update(`weft serial 1 ${workload}`).digest()).readBigUInt64BE();
}

// RFC 5280: positive, at most 20 octets, of which 8 cannot be guessed.
function serialNumber(prefix?: bigint): string {
  const bytes = positive(randomBytes(16));
  if (prefix !== undefined) bytes.writeBigUInt64BE(prefix);
  return bytes.toString("hex");
}

function positive(bytes: Buffer): Buffer {
  bytes[0] = ((bytes[0] as number) & 0x7f) | 0x40;
  return bytes;
}
