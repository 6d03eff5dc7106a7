import type { StoredObject } from "../store/store.ts";

/** Label of objects that the controller itself keeps in the store. Without it they are people's, and never touched. */
export const managedLabel = "app.kubernetes.io/managed-by";
export const manager = "weft";

/** Whether the controller keeps an object. */
export function isManaged({ metadata }: StoredObject): boolean {
  return (metadata.labels as Record<string, string> | undefined)?.[managedLabel] === manager;
}
