import type { ErrorBody } from "@weft/api";

// Storage belongs to one origin, its port included, and to one tab; a cookie would be sent to every port of this host.
const key = "weft-session";

/** The token of the login; undefined without one. */
export const token = (): string | undefined => sessionStorage.getItem(key) ?? undefined;

/** Forgets the login: the controller does not know it any more. */
export const forget = (): void => sessionStorage.removeItem(key);

/** Takes the code of the link by which the page was opened, if there is one, and logs in. Answers why that was refused; nothing when it was not. */
export async function enter(): Promise<string | undefined> {
  const code = new URLSearchParams(location.hash.slice(1)).get("login");
  if (code === null) return undefined;
  // It works once, and is of no use in the history.
  history.replaceState(undefined, "", location.pathname);
  const response = await fetch("/weft/v1/session", { method: "POST", body: code });
  const body: { token?: string } & Partial<ErrorBody> = await response.json();
  if (body.token === undefined) return body.error && `${body.error.message} ${body.error.hint} (${body.error.code})`;
  sessionStorage.setItem(key, body.token);
  return undefined;
}
