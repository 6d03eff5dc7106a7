// WebSockets between libraries and a browser: every caller asks every server everything.

export const servers = ["websockets", "ws"] as const;

export const clients = ["websockets", "node", "chromium"] as const;

export type Server = (typeof servers)[number];
export type Client = (typeof clients)[number];

/** What a caller must have seen, by what it did; what its library does not show is not compared. */
export const cases: { name: string; what: string; expected: unknown }[] = [
  { name: "welcome", what: "the server's message comes first", expected: "welcome" },
  { name: "compressed", what: "messages are compressed", expected: true },
  { name: "text", what: "text beyond ASCII", expected: "grüß dich 🧵" },
  { name: "empty", what: "an empty message", expected: "" },
  { name: "binary", what: "1 MiB of bytes and the same back", expected: true },
  { name: "fragmentsSent", what: "a message in fragments, one of them empty, to the server", expected: "ab" },
  { name: "fragmentsReceived", what: "a message in fragments from the server", expected: "one two three" },
  { name: "inOrder", what: "1000 messages at once come back in order", expected: true },
  { name: "pong", what: "a ping is answered", expected: true },
  { name: "closed", what: "the server's code and reason at the end", expected: [4001, "as you wish"] },
];
