// A question while it is edited.

import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { useAutoHeight } from "../hooks";
import type { Turn } from "../messages";
import type { ChatSession } from "./session";

interface EditProps {
  turn: Turn;
  session: ChatSession;
  busy: boolean;
  onClose: () => void;
}

export function EditBox({ turn, session, busy, onClose }: EditProps) {
  const box = useRef<HTMLTextAreaElement>(null);
  const [text, setText] = useState(turn.typed ?? turn.content);
  useAutoHeight(box, text);
  useLayoutEffect(() => {
    const area = box.current;
    const editing = area?.parentElement;
    const log = area?.closest<HTMLElement>("[role=log]");
    area?.focus();
    area?.setSelectionRange(text.length, text.length);
    return () => {
      // Sent or given up, it goes: the keyboard stays in the conversation.
      if (editing?.contains(document.activeElement)) log?.focus({ preventScroll: true });
    };
  }, []);
  // The box stays until the kernel has taken the question, which takes this turn away: nothing that was typed is lost.
  // As it stands in the box: Enter may come before the last letter is drawn.
  const send = () => void session.edit(turn, box.current?.value ?? text);
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.isComposing) return;
    if (event.key === "Escape") {
      event.preventDefault(); // it stops no answer then
      onClose();
    } else if (event.key === "Enter" && !event.shiftKey && !event.altKey) {
      event.preventDefault();
      send();
    }
  };
  return (
    <div class="lw-editing">
      <textarea
        ref={box}
        class="lw-field"
        aria-label="Edit message"
        dir="auto"
        value={text}
        onInput={(event) => setText(event.currentTarget.value)}
        onKeyDown={onKeyDown}
      />
      <div class="lw-row lw-small">
        <span class="lw-muted lw-grow">What followed stays as a branch.</span>
        <button type="button" class="lw-button" onClick={onClose}>
          Cancel
        </button>
        <button type="button" class="lw-button lw-primary" disabled={busy || !text.trim()} onClick={send}>
          Resend
        </button>
      </div>
    </div>
  );
}
