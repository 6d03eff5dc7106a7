/** The target of a request, as it was sent: nothing in it is decoded, folded or resolved, so that a path has one spelling. */
export interface Target {
  /** Of the absolute form; undefined in the origin form. */
  authority: string | undefined;
  path: string;
  query: URLSearchParams;
}

/** Reads a request's target. Undefined when it is neither a path nor an http address. */
export function targetOf(target: string): Target | undefined {
  const [, authority, path, query] = /^(?:http:\/\/([^/?#]+)(?![^/?]))?(\/[^?#]*)?(?:\?([^#]*))?$/i.exec(target) ?? [];
  if (authority === undefined && path === undefined) return undefined;
  return { authority, path: path ?? "/", query: new URLSearchParams(query ?? "") };
}
