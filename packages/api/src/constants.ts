/** Where the calls of the HTTP API begin. */
export const apiPrefix = "/weft/v1";

/** Default namespace of services. */
export const defaultNamespace = "default";

/** First port that is tried for the page. */
export const defaultPagePort = 4180;
