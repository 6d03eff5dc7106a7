/** The body of this many bytes that all programs of the matrix send. */
export const pattern = (length: number) => Buffer.from(Uint8Array.from({ length }, (_, index) => index % 251));
