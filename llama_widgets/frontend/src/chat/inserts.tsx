// What goes along with the message that is being written: the values of its braces, and files.

import { useEffect, useState } from "preact/hooks";
import { bytes } from "../format";
import { useStore } from "../hooks";
import type { Preview, TextFile } from "../messages";
import { newId } from "../wire";
import { sizeOf } from "./filled";
import type { Writer } from "./session";

/** How long nothing is typed before the kernel is asked. */
const PAUSE_MS = 300;
const NOTHING: readonly Preview[] = [];

interface InsertsProps {
  session: Writer;
  /** The model that counts tokens. */
  loadedPath: string;
}

export function Inserts({ session, loadedPath }: InsertsProps) {
  const draft = useStore(session.store, (state) => state.draft);
  const files = useStore(session.store, (state) => state.files);
  const [values, setValues] = useState(NOTHING);
  const [counted, setCounted] = useState(NOTHING);
  const looked = (text: string, attached: readonly TextFile[], run: boolean) =>
    session.inquire({ type: "preview", request_id: newId(), text, files: [...attached], run }, "previewed");

  useEffect(() => {
    if (!draft.includes("{")) return setValues(NOTHING);
    let current = true;
    const timer = setTimeout(async () => {
      const found = await looked(draft, [], false);
      if (current && found) setValues(found.inserts);
    }, PAUSE_MS);
    return () => {
      current = false;
      clearTimeout(timer);
    };
  }, [draft, loadedPath]);
  useEffect(() => {
    setCounted(NOTHING);
    if (files.length === 0) return;
    let current = true;
    void looked("", files, false).then((found) => current && found && setCounted(found.inserts));
    return () => {
      current = false;
    };
  }, [files, loadedPath]);

  const run = async () => {
    const found = await looked(draft, [], true);
    if (found && session.store.state.draft === draft) setValues(found.inserts);
  };
  const remove = (file: TextFile) => {
    session.store.dispatch({ type: "attached", files: files.filter((each) => each !== file) });
  };
  if (values.length + files.length === 0) return null;
  return (
    <ul class="lw-bare lw-inserts lw-small" aria-label="Goes along">
      {values.map((value, index) => (
        <li key={index}>
          <Value value={value} onRun={run} />
        </li>
      ))}
      {files.map((file, index) => (
        <li key={index} class="lw-insert lw-row">
          <span class="lw-ellipsis">{file.name}</span>
          <span class="lw-muted">{fileSize(file, counted[index])}</span>
          <button type="button" class="lw-quiet" aria-label={`Remove ${file.name}`} onClick={() => remove(file)}>
            ✕
          </button>
        </li>
      ))}
    </ul>
  );
}

function Value({ value, onRun }: { value: Preview; onRun: () => void }) {
  const source = <code>{`{${value.source}}`}</code>;
  if (value.error) {
    return (
      <span class="lw-insert lw-wrong" title={value.error}>
        {value.error}
      </span>
    );
  }
  if (value.text === null) {
    return (
      <button type="button" class="lw-insert" onClick={onRun}>
        {source}
        <span class="lw-muted"> · Preview</span>
      </button>
    );
  }
  return (
    <details class="lw-insert">
      <summary>
        {source}
        <span class="lw-muted"> · {sizeOf(value.tokens, value.text)}</span>
      </summary>
      <pre class="lw-inserted">{value.text}</pre>
    </details>
  );
}

function fileSize({ text }: TextFile, counted: Preview | undefined): string {
  const size = bytes(new Blob([text]).size);
  return counted?.tokens == null ? size : `${size} · ${sizeOf(counted.tokens, text)}`;
}
