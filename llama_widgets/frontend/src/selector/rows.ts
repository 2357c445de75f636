// The rows of the table, as the arrow keys go through them.

import type { Fit, HubFile, HubModel, ModelEntry } from "../messages";
import { matching } from "./choice";
import type { Hub } from "./hub";

export type Row =
  | { kind: "here"; key: string; entry: ModelEntry; fit: Fit | undefined }
  | { kind: "repo"; key: string; found: HubModel; open: boolean }
  | { kind: "file"; key: string; file: HubFile; here: ModelEntry | undefined; token: boolean };

/** The models on this machine that fit what is typed. */
export function rowsHere(models: readonly ModelEntry[], fits: Record<string, Fit>, typed: string | null): Row[] {
  return matching(models, typed).map((entry) => ({ kind: "here", key: entry.model, entry, fit: fits[entry.model] }));
}

/** The models that were found on the hub, each with its files below it if it is open. */
export function rowsOfHub(hub: Hub, models: readonly ModelEntry[]): Row[] {
  return hub.models.flatMap((found): Row[] => {
    const opened = hub.opened[found.model];
    const files = opened?.looked?.info.files ?? [];
    return [
      { kind: "repo", key: found.model, found, open: opened !== undefined },
      ...files.map(
        (file): Row => ({
          kind: "file",
          key: file.model,
          file,
          here: models.find(({ model }) => model === file.model),
          token: opened?.looked?.refusal?.code === "gated",
        }),
      ),
    ];
  });
}

/** What a row is called where it is acted on. */
export function nameOfRow(row: Row): string {
  switch (row.kind) {
    case "here":
      return `${row.entry.name} ${row.entry.quantisation}`.trim();
    case "repo":
      return row.found.model.replace(/^hf:/, "");
    case "file":
      return fileOf(row.file.model);
  }
}

/** Whether a file of the hub would not fit into memory, so that there is no use in downloading it. */
export function isTooBig({ file, here }: Extract<Row, { kind: "file" }>): boolean {
  return here === undefined && file.fit?.verdict === "too big";
}

/** The file's name within a reference. */
export function fileOf(model: string): string {
  return model.split("/").at(-1) ?? model;
}
