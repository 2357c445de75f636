// A question with what was put into it folded: `{df.describe()}` · 412 tokens of data.

import { useState } from "preact/hooks";
import { count } from "../format";
import type { Insert, Turn } from "../messages";

export function Filled({ turn }: { turn: Turn }) {
  if (!turn.inserts?.length) return <>{turn.content}</>;
  const characters = [...turn.content]; // as Python counts them
  const cut = (start: number, end?: number) => characters.slice(start, end).join("");
  const parts = [];
  let at = 0;
  for (const insert of turn.inserts) {
    // The blank lines around a table were put in with it.
    parts.push(
      cut(at, insert.start)
        .replace(/\n\n$/, insert.kind === "file" ? "\n" : " ")
        .replace(/^\n\n/, " "),
    );
    parts.push(<Folded key={insert.start} insert={insert} text={cut(insert.start, insert.end)} />);
    at = insert.end;
  }
  return (
    <>
      {parts}
      {cut(at).replace(/^\n\n/, " ")}
    </>
  );
}

function Folded({ insert, text }: { insert: Insert; text: string }) {
  const [open, setOpen] = useState(false);
  return (
    <>
      <button type="button" class="lw-insert" aria-expanded={open} onClick={() => setOpen(!open)}>
        <code>{insert.kind === "file" ? insert.source : `{${insert.source}}`}</code>
        <span class="lw-muted"> · {sizeOf(insert.tokens, text)} of data</span>
      </button>
      {open && <pre class="lw-inserted">{text}</pre>}
    </>
  );
}

/** Tokens where a model was there to count them. */
export function sizeOf(tokens: number | null, text: string): string {
  const [many, unit] = tokens === null ? [text.length, "character"] : [tokens, "token"];
  return `${count(many)} ${unit}${many === 1 ? "" : "s"}`;
}
