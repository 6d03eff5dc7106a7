import manifest from "../package.json" with { type: "json" };

/** Version of the controller. */
export const version: string = manifest.version;
