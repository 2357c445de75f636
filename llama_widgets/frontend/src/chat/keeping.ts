// The conversation as a file that the user saves, and files of others that are opened.

import { choose, download } from "../files";
import type { MenuItem } from "../menu";
import { newId } from "../wire";
import type { ChatSession } from "./session";

/** Servers close the connection at 10 MB, and what is sent grows a little on the way. */
const LARGEST = 8_000_000;

const FORMATS = [
  ["Markdown", "markdown"],
  ["JSON", "json"],
  ["notebook", "notebook"],
] as const;

type Format = (typeof FORMATS)[number][1];

/** What the menu offers; `empty` is whether there is nothing to export, `fixed` whether nothing can be changed now. */
export function keepingItems(session: ChatSession, empty: boolean, fixed: boolean): MenuItem[] {
  const { gone } = session.store.state;
  const exports = FORMATS.map(([name, format], index) => ({
    name: `Export as ${name}`,
    disabled: empty || gone,
    apart: index === 0,
    onPick: () => void save(session, format),
  }));
  return [
    ...exports,
    { name: "Import JSON", disabled: fixed, onPick: () => choose(".json", (file) => open(session, file)) },
  ];
}

async function save(session: ChatSession, format: Format): Promise<void> {
  const file = await session.inquire({ type: "export", request_id: newId(), format }, "exported");
  if (file) download(file.name, file.text);
}

async function open(session: ChatSession, file: File): Promise<void> {
  if (file.size > LARGEST) {
    const message = `${file.name} is larger than ${LARGEST / 1_000_000} MB, too large for the way from a page to the kernel.`;
    const hint = "In a cell: panel.import_json('the file').";
    session.store.dispatch({ type: "refused", failure: { code: "conversation", message, hint } });
    return;
  }
  session.send({ type: "import", request_id: newId(), text: await file.text() });
}
