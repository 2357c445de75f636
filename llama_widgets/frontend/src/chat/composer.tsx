// The message box with Send or Stop.

import { useLayoutEffect, useRef } from "preact/hooks";
import { useStore } from "../hooks";
import type { ChatSession } from "./session";
import { isBusy } from "./state";

interface ComposerProps {
  session: ChatSession;
  enabled: boolean;
}

export function Composer({ session, enabled }: ComposerProps) {
  const box = useRef<HTMLTextAreaElement>(null);
  const draft = useStore(session.store, (state) => state.draft);
  const busy = useStore(session.store, isBusy);
  const stopping = useStore(session.store, (state) => state.stopping && !state.blocked);

  useLayoutEffect(() => {
    const area = box.current;
    if (!area) return;
    const now = session.store.state.draft;
    if (area.value !== now) area.value = now;
    area.style.height = "auto";
    area.style.height = `${area.scrollHeight + area.offsetHeight - area.clientHeight}px`;
  }, [draft]);

  const send = () => {
    if (enabled) void session.ask();
    box.current?.focus();
  };
  const stop = () => {
    void session.stop();
    box.current?.focus();
  };
  const onKeyDown = (event: KeyboardEvent) => {
    // While a word is being composed (Chinese, Japanese, accents), Enter takes the word and Escape drops it.
    if (event.isComposing || event.key !== "Enter" || event.shiftKey || event.altKey) return;
    event.preventDefault();
    send();
  };

  return (
    <div class="lw-composer lw-row">
      <textarea
        ref={box}
        class="lw-field lw-grow"
        aria-label="Message"
        placeholder="Message · Enter sends, Shift+Enter starts a new line"
        rows={2}
        dir="auto"
        onInput={(event) => session.store.dispatch({ type: "typed", text: event.currentTarget.value })}
        onKeyDown={onKeyDown}
      />
      {busy ? (
        <button type="button" class="lw-button lw-stop" aria-label="Stop" disabled={stopping} onClick={stop}>
          <span aria-hidden="true">■ </span>Stop
        </button>
      ) : (
        <button type="button" class="lw-button lw-primary" disabled={!enabled || !draft.trim()} onClick={send}>
          Send
        </button>
      )}
    </div>
  );
}
