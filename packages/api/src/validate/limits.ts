/** Most bytes of a document: what etcd and Kubernetes would refuse is refused before. 1 MiB. */
export const maxDocumentBytes = 1024 * 1024;

/** Most bytes of all inputs together: 64 MiB. */
export const maxInputBytes = 64 * 1024 * 1024;

/** Most objects of all inputs together. */
export const maxObjects = 10_000;

/** Most problems that are told of one document: the first ones lead to the rest. */
export const maxProblems = 50;

/** Most aliases that a document may come to when those within what they stand for are counted. */
export const maxAliases = 100;
