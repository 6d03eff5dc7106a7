import { z } from "zod";
import { atomicList, mapList, setList } from "../common/lists.ts";
import { dnsSubdomain, formed, int32, port, text, token } from "../common/scalars.ts";
import { backendObjectReference, localObjectReference } from "./references.ts";

/** Methods of HTTP that Gateway API knows. */
export const methods = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"] as const;

const header = z.strictObject({
  name: token.describe("Name of the field, in any case."),
  value: text(4096).describe("Value of the field."),
});

const headerModifier = z.strictObject({
  set: mapList(header, ["name"], 16).optional().describe("Fields to put in place of those of the same name."),
  add: mapList(header, ["name"], 16).optional().describe("Fields to add to those of the same name."),
  remove: setList(z.string(), 16).optional().describe("Names of fields to take out, in any case."),
});

const mirror = z.strictObject({
  backendRef: backendObjectReference.describe("Where copies go. Their answers are ignored."),
  percent: int32(0, 100).optional().describe("How many of 100 requests are copied. Default: all. Not together with fraction."),
  fraction: z
    .strictObject({
      numerator: int32(0).describe("How many requests are copied."),
      denominator: int32(1).default(100).describe("Of how many."),
    })
    .optional()
    .describe("Which part of requests is copied. Default: all. Not together with percent."),
});

const pathModifier = z.strictObject({
  type: z.enum(["ReplaceFullPath", "ReplacePrefixMatch"]).describe("Whether the whole path is replaced, or the prefix that matched."),
  replaceFullPath: text(1024, 0).optional().describe("New path; for type ReplaceFullPath."),
  replacePrefixMatch: text(1024, 0)
    .optional()
    .describe("What stands in place of the matched prefix; for type ReplacePrefixMatch. The rule needs exactly one match, a PathPrefix."),
});

const redirect = z.strictObject({
  scheme: z.enum(["http", "https"]).optional().describe("Scheme of the new address. Default: the request's own."),
  hostname: dnsSubdomain.optional().describe("Host of the new address. Default: the request's own."),
  path: pathModifier.optional().describe("Path of the new address. Default: the request's own."),
  port: port
    .optional()
    .describe("Port of the new address. Default: the well-known one of scheme if that is given, else the port that was called."),
  statusCode: z
    .literal([301, 302, 303, 307, 308])
    .meta({ type: "integer" })
    .default(302)
    .describe("Status of the answer. 307 and 308 keep method and body; 301 and 308 are for ever."),
});

const rewrite = z.strictObject({
  hostname: dnsSubdomain.optional().describe("Host that the backend sees. Default: the request's own."),
  path: pathModifier.optional().describe("Path that the backend sees. Default: the request's own."),
});

const origin = formed(/^\*$|^https?:\/\/((\*\.)?([a-zA-Z0-9-]+\.)*[a-zA-Z0-9-]+|\*)(:[0-9]{1,5})?$/, {
  form: "origin",
  like: "https://example.com, https://*.example.com or *",
  max: 253,
});

const cors = z.strictObject({
  allowOrigins: setList(origin, 64).optional().describe("Origins of pages that may call; * alone is any."),
  allowCredentials: z.boolean().optional().describe("Whether browsers may send cookies and the like. Default: false."),
  allowMethods: setList(z.enum([...methods, "*"]), 9)
    .optional()
    .describe("Methods that pages may use; * alone is any."),
  allowHeaders: setList(token, 64).optional().describe("Fields that pages may send; * alone is any."),
  exposeHeaders: setList(token, 64).optional().describe("Fields of answers that pages may read."),
  maxAge: int32(1).default(5).describe("How long a browser may keep the answer to a preflight, seconds."),
});

/** Filters of both kinds of routes. */
const shared = {
  requestHeaderModifier: headerModifier.optional().describe("For type RequestHeaderModifier: changes fields of requests."),
  responseHeaderModifier: headerModifier.optional().describe("For type ResponseHeaderModifier: changes fields of answers."),
  requestMirror: mirror.optional().describe("For type RequestMirror: sends copies of requests elsewhere. May be repeated."),
  extensionRef: localObjectReference.optional().describe("For type ExtensionRef: a filter of a kind of its own."),
};

/** Names of filter types and the field that each has. */
export const grpcFilterFields = {
  RequestHeaderModifier: "requestHeaderModifier",
  ResponseHeaderModifier: "responseHeaderModifier",
  RequestMirror: "requestMirror",
  ExtensionRef: "extensionRef",
} as const;

/** Names of filter types and the field that each has. */
export const httpFilterFields = {
  ...grpcFilterFields,
  RequestRedirect: "requestRedirect",
  URLRewrite: "urlRewrite",
  CORS: "cors",
} as const;

const typeOf = <Type extends string>(types: Record<Type, string>) =>
  z.enum(Object.keys(types) as [Type, ...Type[]]).describe("What the filter does. The field of the same name says how.");

const grpcFilter = z.strictObject({ type: typeOf(grpcFilterFields), ...shared });

const httpFilter = z.strictObject({
  type: typeOf(httpFilterFields),
  ...shared,
  requestRedirect: redirect.optional().describe("For type RequestRedirect: answers with another address. The rule has no backends then."),
  urlRewrite: rewrite.optional().describe("For type URLRewrite: changes host and path before the request goes on."),
  cors: cors.optional().describe("For type CORS: answers browsers' preflights and says what pages of other origins may do."),
});

/** What is done to requests of an HTTPRoute on their way. */
export const httpFilters = (what: string) => atomicList(httpFilter, 16).optional().describe(what);

/** What is done to calls of a GRPCRoute on their way. */
export const grpcFilters = (what: string) => atomicList(grpcFilter, 16).optional().describe(what);
