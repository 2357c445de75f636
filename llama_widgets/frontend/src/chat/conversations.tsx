// The conversations of a panel: open one, begin one, name them, delete them.

import { useLayoutEffect, useRef, useState } from "preact/hooks";
import type { Conversation } from "../messages";
import type { ChatSession } from "./session";

interface ConversationsProps {
  session: ChatSession;
  conversations: readonly Conversation[];
  busy: boolean;
  onClose: () => void;
}

export function Conversations({ session, conversations, busy, onClose }: ConversationsProps) {
  const [renaming, setRenaming] = useState("");
  const root = useRef<HTMLElement>(null);
  useLayoutEffect(() => root.current?.querySelector<HTMLElement>("[aria-current]")?.focus(), []);
  const open = (id: string) => {
    session.openConversation(id);
    onClose();
  };
  const begin = () => {
    session.newConversation();
    onClose();
  };
  const remove = (id: string) => {
    session.deleteConversation(id);
    root.current?.querySelector<HTMLElement>(".lw-primary")?.focus(); // the button goes with its conversation
  };
  return (
    <section class="lw-bare lw-drawer lw-conversations" aria-label="Conversations" ref={root}>
      <div class="lw-row">
        <strong class="lw-grow">Conversations</strong>
        <button type="button" class="lw-button lw-primary" disabled={busy} onClick={begin}>
          New conversation
        </button>
        <button type="button" class="lw-quiet" onClick={onClose}>
          Close
        </button>
      </div>
      <ul>
        {conversations.toReversed().map(({ id, name, current }) => (
          <li key={id} class="lw-row">
            {renaming === id ? (
              <Rename
                name={name}
                onDone={(given) => {
                  if (given !== null) session.renameConversation(id, given);
                  setRenaming("");
                }}
              />
            ) : (
              <button
                type="button"
                class="lw-quiet lw-grow lw-ellipsis"
                aria-current={current || undefined}
                disabled={busy}
                dir="auto"
                onClick={() => open(id)}
              >
                {name}
              </button>
            )}
            <button type="button" class="lw-quiet" aria-label={`Rename ${name}`} onClick={() => setRenaming(id)}>
              Rename
            </button>
            <button
              type="button"
              class="lw-quiet"
              aria-label={`Delete ${name}`}
              disabled={busy}
              onClick={() => remove(id)}
            >
              Delete
            </button>
          </li>
        ))}
      </ul>
    </section>
  );
}

function Rename({ name, onDone }: { name: string; onDone: (given: string | null) => void }) {
  const box = useRef<HTMLInputElement>(null);
  const ended = useRef(false);
  useLayoutEffect(() => box.current?.select(), []);
  const end = (given: string | null) => {
    if (ended.current) return; // leaving the page, the box is left as well
    ended.current = true;
    onDone(given);
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.isComposing || (event.key !== "Enter" && event.key !== "Escape")) return;
    event.preventDefault();
    event.stopPropagation();
    const row = box.current?.closest("li");
    end(event.key === "Enter" ? (box.current?.value ?? null) : null);
    setTimeout(() => row?.querySelector("button")?.focus());
  };
  return (
    <input
      ref={box}
      class="lw-field lw-grow"
      aria-label="Name of the conversation"
      defaultValue={name}
      maxLength={200}
      dir="auto"
      onKeyDown={onKeyDown}
      onBlur={() => end(box.current?.value ?? null)}
    />
  );
}
