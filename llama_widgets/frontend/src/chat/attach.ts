// Text files that are dropped, pasted or chosen.

import { bytes } from "../format";
import type { Failure, TextFile } from "../messages";

/** Twin: `../../../filling.py`. */
const LARGEST = 1_000_000;

/** Thrown where a file cannot go along. */
export class Refusal extends Error {
  readonly failure: Failure;

  constructor(message: string, hint: string) {
    super(message);
    this.failure = { code: "fill", message, hint };
  }
}

/** Returns the files as text; throws a `Refusal` for the first that is none. */
export function readFiles(files: Iterable<File>): Promise<TextFile[]> {
  return Promise.all([...files].map(readFile));
}

async function readFile(file: File): Promise<TextFile> {
  const name = file.name || "pasted.txt";
  if (file.type.startsWith("image/")) {
    throw new Refusal(`${name} is a picture, and this model takes text only.`, "Describe in words what it shows.");
  }
  if (file.size > LARGEST) {
    throw new Refusal(
      `${name} is too large: it has ${bytes(file.size)}.`,
      "Attach a part of it; at most 1 MB goes along.",
    );
  }
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(await file.arrayBuffer());
    if (!text.includes("\0")) return { name, text };
  } catch (error) {
    if (!(error instanceof TypeError)) {
      throw new Refusal(`${name} cannot be read.`, "Folders and files that were moved cannot go along.");
    }
  }
  throw new Refusal(`${name} is not a text file.`, "Text in UTF-8 can go along; pictures and documents cannot.");
}
