import { z } from "zod";
import { maxNameLength, nameProblem, suggestName } from "../../names.ts";
import { shown } from "../../shown.ts";

// What single values may be. Lengths count characters, as Kubernetes does, not UTF-16 units.

/** A text of `min` to `max` characters. */
export function text(max: number, min = 1) {
  return z
    .string()
    .check((context) => {
      const { length } = [...context.value];
      if (length === 0 && min > 0) context.issues.push(refusal(context.value, "it is empty", "Give it a value, or leave the field out"));
      else if (length > max) context.issues.push(refusal(context.value, `it has ${length} characters`, `At most ${max} are allowed`));
    })
    .meta({ ...(min > 0 ? { minLength: min } : {}), maxLength: max });
}

/** A text that has the form of `pattern`; `form` names it: "a duration". */
export function formed(pattern: RegExp, { form, like, min = 1, max }: { form: string; like: string; min?: number; max?: number }) {
  const base = max === undefined ? z.string() : text(max, min);
  return base
    .check((context) => {
      const isWrongLength = context.issues.length > 0;
      if (isWrongLength || pattern.test(context.value)) return;
      context.issues.push(refusal(context.value, `${shown(context.value)} is no ${form}`, `Write it like ${like}`));
    })
    .meta({ ...base.meta(), pattern: pattern.source });
}

function refusal(input: unknown, cause: string, remedy: string) {
  return { code: "custom" as const, input, message: cause, params: { cause, remedy }, continue: true };
}

const label = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
const subdomain = `${label}(\\.${label})*`;

/** A DNS label (RFC 1123). */
export const dnsLabel = z
  .string()
  .check((context) => {
    const problem = nameProblem(context.value);
    if (problem === undefined) return;
    const suggestion = suggestName(context.value);
    const remedy = suggestion === undefined ? "Use a-z, 0-9 and hyphens" : `Did you mean ${suggestion}?`;
    context.issues.push(refusal(context.value, `${shown(context.value)} is no DNS label: ${problem}`, remedy));
  })
  .meta({ pattern: `^${label}$`, minLength: 1, maxLength: maxNameLength });

/** A DNS subdomain (RFC 1123): labels with dots between. */
export const dnsSubdomain = formed(new RegExp(`^${subdomain}$`), {
  form: "DNS subdomain (a-z, 0-9, hyphens and dots)",
  like: "users.example.com",
  max: 253,
});

const namePart = /^([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$/;
const prefixPart = new RegExp(`^${subdomain}$`);

/** Whether a text is a qualified name: a name of at most 63 characters, with a DNS subdomain and a slash before it or not. */
export function isQualified(key: string): boolean {
  const [name = "", prefix, ...more] = key.split("/").reverse();
  if (more.length > 0 || name.length > 63 || !namePart.test(name)) return false;
  return prefix === undefined || (prefix.length <= 253 && prefixPart.test(prefix));
}

/** Whether a text may be the value of a label: nothing, or a name of at most 63 characters. */
export const isLabelValue = (text: string) => text === "" || (text.length <= 63 && namePart.test(text));
/** What to say of one that may not. */
export const noLabelValue = "is no value of a label: at most 63 letters, digits, -, _ and ., beginning and ending with a letter or digit";

/** A value of a label. */
export const labelValue = z.string().check((context) => {
  if (isLabelValue(context.value)) return;
  context.issues.push(refusal(context.value, `${shown(context.value)} ${noLabelValue}`, "Write it like europe-west1-b"));
});

/** A qualified name, such as `http` or `kubernetes.io/h2c`. */
export const qualifiedName = z.string().check((context) => {
  if (isQualified(context.value)) return;
  const cause = `${shown(context.value)} is no name of at most 63 letters, digits, -, _ and ., with a DNS subdomain and / before it or not`;
  context.issues.push(refusal(context.value, cause, "Write it like http or example.com/http"));
});

/** A host name; its first label may be `*`. */
export const wildcardHostname = formed(new RegExp(`^(\\*\\.)?${subdomain}$`), {
  form: "host name (a-z, 0-9, hyphens and dots; `*.` may come first)",
  like: "users.example.com or *.example.com",
  max: 253,
});

/** A name of another object. */
export const objectName = text(253);

/** An API group; empty for Kubernetes' core. */
export const group = formed(new RegExp(`^$|^${subdomain}$`), { form: "API group", like: "gateway.networking.k8s.io", min: 0, max: 253 });

/** A kind of resource. */
export const kindName = formed(/^[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?$/, { form: "kind of resource", like: "Service", max: 63 });

/** A TCP or UDP port. */
export const port = z.int().min(1).max(65535);

/** A whole number of 32 bits that is at least `min`. */
export const int32 = (min: number, max = 2 ** 31 - 1) => z.int().min(min).max(max);

/** A length of time in Gateway API's form (GEP-2257). */
export const duration = formed(/^([0-9]{1,5}(h|m|s|ms)){1,4}$/, { form: "duration", like: "500ms, 10s or 1m30s" });

/** A name of an HTTP field (RFC 9110, 5.6.2), or of a query parameter. */
export const token = formed(/^[-!#$%&'*+.^_`|~0-9A-Za-z]+$/, { form: "field name of HTTP", like: "x-version", max: 256 });

/** A moment in RFC 3339. */
export const moment = z.iso.datetime({ offset: true, error: "is no moment" }).meta({ format: "date-time" });

/** How long a duration is, milliseconds. */
export function durationMs(text: string): number {
  const units: Record<string, number> = { h: 3_600_000, m: 60_000, s: 1000, ms: 1 };
  return [...text.matchAll(/([0-9]+)(ms|h|m|s)/g)].reduce((sum, [, digits, unit = ""]) => sum + Number(digits) * (units[unit] ?? 0), 0);
}
