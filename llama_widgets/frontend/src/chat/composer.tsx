// The message box with Send or Stop, and what goes along with the message.

import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { useAutoHeight, useStore } from "../hooks";
import { Refusal, readFiles } from "./attach";
import { useCompletion } from "./completion";
import { Inserts } from "./inserts";
import { useRecall } from "./recall";
import type { Writer } from "./session";
import { isBusy } from "./state";

/** Of a double click only the first counts: the second would hit the button that has come in this one's place. */
const single = (act: () => void) => (event: MouseEvent) => {
  if (event.detail < 2) act();
};

interface ComposerProps {
  session: Writer;
  enabled: boolean;
  loadedPath: string;
}

export function Composer({ session, enabled, loadedPath }: ComposerProps) {
  const box = useRef<HTMLTextAreaElement>(null);
  const picker = useRef<HTMLInputElement>(null);
  const draft = useStore(session.store, (state) => state.draft);
  const busy = useStore(session.store, isBusy);
  const stopping = useStore(session.store, (state) => state.stopping && !state.blocked);
  const [over, setOver] = useState(false);
  const completion = useCompletion(session, box);
  const recall = useRecall(session, box);

  useLayoutEffect(() => {
    const now = session.store.state.draft;
    if (box.current && box.current.value !== now) box.current.value = now;
  }, [draft]);
  useAutoHeight(box, draft);

  const send = () => {
    if (enabled) void session.ask();
    box.current?.focus();
  };
  const stop = () => {
    void session.stop();
    box.current?.focus();
  };
  const onInput = (event: { currentTarget: HTMLTextAreaElement }) => {
    session.store.dispatch({ type: "typed", text: event.currentTarget.value });
    void completion.look();
  };
  const onKeyDown = (event: KeyboardEvent) => {
    // While a word is being composed (Chinese, Japanese, accents), Enter takes the word and Escape drops it.
    if (event.isComposing || completion.onKeyDown(event) || recall(event)) return;
    if (event.key !== "Enter" || event.shiftKey || event.altKey) return;
    event.preventDefault();
    send();
  };

  const attach = async (files: Iterable<File>) => {
    box.current?.focus();
    try {
      const read = await readFiles(files);
      session.store.dispatch({ type: "attached", files: [...session.store.state.files, ...read] });
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      session.store.dispatch({ type: "refused", failure: error.failure });
    }
  };
  const onFiles = (event: Event, data: DataTransfer | null) => {
    if (!data?.files.length) return;
    event.preventDefault();
    event.stopPropagation(); // the notebook would open it
    void attach(data.files);
  };
  const onDragOver = (event: DragEvent) => {
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    event.stopPropagation();
    setOver(true);
  };

  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: what can be dropped here can be chosen with Attach
    <div
      class={over ? "lw-composer lw-over" : "lw-composer"}
      onDragOver={onDragOver}
      onDragLeave={() => setOver(false)}
      onDrop={(event) => {
        setOver(false);
        onFiles(event, event.dataTransfer);
      }}
    >
      <Inserts session={session} loadedPath={loadedPath} />
      <div class="lw-row lw-writing">
        {completion.list}
        <textarea
          ref={box}
          class="lw-field lw-grow"
          aria-label="Message"
          placeholder="Message · Enter sends, Shift+Enter starts a new line, {name} fills in a variable"
          rows={2}
          dir="auto"
          {...completion.attributes}
          onInput={onInput}
          onKeyDown={onKeyDown}
          onClick={completion.close}
          onBlur={completion.close}
          onPaste={(event) => onFiles(event, event.clipboardData)}
        />
        <div class="lw-sending">
          {busy ? (
            <button
              type="button"
              class="lw-button lw-stop"
              aria-label="Stop"
              disabled={stopping}
              onClick={single(stop)}
            >
              <span aria-hidden="true">■ </span>Stop
            </button>
          ) : (
            <button
              type="button"
              class="lw-button lw-primary"
              disabled={!enabled || !draft.trim()}
              onClick={single(send)}
            >
              Send
            </button>
          )}
          <button type="button" class="lw-quiet" onClick={() => picker.current?.click()}>
            Attach
          </button>
          <input
            ref={picker}
            type="file"
            multiple
            hidden
            aria-label="Files"
            onChange={(event) => {
              const { files } = event.currentTarget;
              if (files?.length) void attach([...files]);
              event.currentTarget.value = ""; // the same file can be chosen again
            }}
          />
        </div>
      </div>
    </div>
  );
}
