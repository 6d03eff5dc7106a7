import { type ClientRequest, type IncomingMessage, request } from "node:http";
import { statePaths } from "@weft/api";

/** An answer of the API of resources. */
export interface Answer {
  code: number;
  // biome-ignore lint/suspicious/noExplicitAny: what is in it is what tests are about.
  body: any;
  type: string;
  warning: string | undefined;
}

/** How a call is made, beside its method and path. */
export interface Asked {
  body?: unknown;
  type?: string;
  accept?: string;
}

/** Calls the API of resources as its user: over api.sock. */
export function resourceClient(stateDir: string) {
  const open = (method: string, path: string, { body, type = "application/json", accept }: Asked): ClientRequest => {
    const text = body === undefined || typeof body === "string" ? body : JSON.stringify(body);
    const headers = {
      ...(text === undefined ? {} : { "content-type": type, "content-length": Buffer.byteLength(text) }),
      ...(accept === undefined ? {} : { accept }),
    };
    return request({ socketPath: statePaths(stateDir).apiSocket, method, path, headers, agent: false }).end(text);
  };
  const answered = (sent: ClientRequest) =>
    new Promise<IncomingMessage>((resolve, reject) => sent.once("response", resolve).once("error", reject));

  return {
    /** Makes a call and reads its answer. */
    async call(method: string, path: string, asked: Asked = {}): Promise<Answer> {
      const response = await answered(open(method, path, asked));
      const text = (await response.setEncoding("utf8").toArray()).join("");
      const { statusCode: code = 0, headers } = response;
      return {
        code,
        body: text === "" ? undefined : JSON.parse(text),
        type: headers["content-type"] ?? "",
        warning: headers.warning as string,
      };
    },
    /** Watches, until the caller stops reading. */
    async *watch(path: string, asked: Asked = {}): AsyncGenerator<{ type: string; object: Answer["body"] }> {
      const response = await answered(open("GET", path, asked));
      let begun = "";
      for await (const chunk of response.setEncoding("utf8")) {
        const lines = (begun + chunk).split("\n");
        begun = lines.pop() ?? "";
        for (const line of lines) yield JSON.parse(line);
      }
    },
  };
}
