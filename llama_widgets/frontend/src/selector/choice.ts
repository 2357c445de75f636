// What the text in the model box means. The kernel decides in the end (library/references.py); this only guesses which
// button to offer and which rows to show.

import type { ModelEntry } from "../messages";

const NAME = "[a-z0-9][\\w.-]*";
const REVISION = "(?:@[^\\s:@]+)?";
/** "user/repo:Q4_K_M" or "user/repo/file.gguf", with a revision at either place; "folder/file.gguf" is a path. */
const BARE = new RegExp(`^${NAME}/(?!${NAME}\\.gguf$)${NAME}${REVISION}(?::[\\w.-]+|/[^@]+\\.gguf)?${REVISION}$`, "i");

/** Whether the text names something that can be downloaded: of the hub, with or without "hf:", or at an address. */
export function isReference(text: string): boolean {
  return /^(?:hf:|https?:\/\/)/i.test(text) || BARE.test(text);
}

/** The rows that fit what is typed: all of its words, anywhere. */
export function matching(models: readonly ModelEntry[], typed: string | null): readonly ModelEntry[] {
  const words = (typed ?? "").toLowerCase().split(/\s+/).filter(Boolean);
  return models.filter((entry) => {
    const all = `${entry.name} ${entry.quantisation} ${entry.model} ${entry.path}`.toLowerCase();
    return words.every((word) => all.includes(word));
  });
}

/** How a chosen model is shown in the box. */
export function labelOf(models: readonly ModelEntry[], value: string): string {
  const entry = models.find(({ model }) => model === value);
  return entry ? [entry.name, entry.quantisation].filter(Boolean).join(" · ") : value;
}

/** What a model is called where there is little room: its name, or the file's. */
export function nameOf(models: readonly ModelEntry[], value: string): string {
  const entry = models.find(({ model, path }) => model === value || path === value);
  return entry?.name ?? fileName(value);
}

/** The folder of a path. */
export function folderOf(path: string): string {
  return path.replace(/[/\\][^/\\]*$/, "");
}

/** The file's name of a path; a reference as it is. */
export function fileName(model: string): string {
  return /^hf:/i.test(model) ? model : (model.split(/[/\\]/).at(-1) ?? model);
}

/** The model that Load and Enter act on: the row at hand, what is typed, or what is chosen. */
export function target(
  typed: string | null,
  row: ModelEntry | undefined,
  models: readonly ModelEntry[],
  value: string,
): string {
  if (row) return row.model;
  if (typed === null) return value;
  const text = typed.trim();
  const named = models.find(({ name, model, path }) => text === model || text === path || text === name);
  return named?.model ?? text;
}
