import type { MessageInitShape } from "@bufbuild/protobuf";
import { emptyHistogram, encodeHistogram, record } from "@weft/api";
import type { ConnectionSeriesSchema, ReportSchema, RequestSeriesSchema } from "@weft/api/proto";

interface Texts {
  peer?: { name: string; identity?: string };
  route?: string;
  method?: string;
  error?: string;
}

type WithTexts<Series> = Omit<Series, keyof Texts | "peerIdentity" | "$typeName"> & Texts;

/** What a report is made of, with the texts of its series where they are read: in the series. */
export type ReportContent = Omit<MessageInitShape<typeof ReportSchema>, "texts" | "requests" | "connections" | "$typeName"> & {
  requests?: WithTexts<MessageInitShape<typeof RequestSeriesSchema>>[];
  connections?: WithTexts<MessageInitShape<typeof ConnectionSeriesSchema>>[];
};

/** A report as sidecars send it: each text once, named by its place. */
export function reportOf({ requests = [], connections = [], ...rest }: ReportContent): MessageInitShape<typeof ReportSchema> {
  const texts: string[] = [];
  const place = (text = "") => {
    if (text === "") return 0;
    const known = texts.indexOf(text);
    return known === -1 ? texts.push(text) : known + 1;
  };
  const ends = ({ peer }: Texts) => ({ peer: place(peer?.name), peerIdentity: place(peer?.identity) });
  return {
    ...rest,
    requests: requests.map((series) => ({
      ...series,
      ...ends(series),
      route: place(series.route),
      method: place(series.method),
      error: place(series.error),
    })),
    connections: connections.map((series) => ({ ...series, ...ends(series) })),
    texts,
  };
}

/** A histogram of these values. */
export function histogramOf(values: number[]) {
  const histogram = emptyHistogram();
  for (const value of values) record(histogram, value);
  return encodeHistogram(histogram);
}
