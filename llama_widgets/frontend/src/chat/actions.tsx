// What can be done with one turn: switch to what was said in its place, copy, make again, edit, insert, delete.

import type { AnyModel } from "@anywidget/types";
import { InsertAsCell } from "../insert";
import type { Turn } from "../messages";
import { CopyButton } from "../ui";
import { newId } from "../wire";
import type { ChatSession } from "./session";
import { wasCut } from "./status";

interface ActionsProps {
  turn: Turn;
  session: ChatSession;
  /** An answer is being made: then nothing can be changed. */
  busy: boolean;
  isLast: boolean;
  onEdit?: () => void;
}

export function Actions({ turn, session, busy, isLast, onEdit }: ActionsProps) {
  if (session.fixed) return null;
  /** The button is gone or another one afterwards: the keyboard stays in the conversation. */
  const act = (action: () => unknown) => (event: MouseEvent) => {
    const log = (event.currentTarget as Element).closest<HTMLElement>("[role=log]");
    action();
    log?.focus({ preventScroll: true });
  };
  return (
    <span class="lw-row lw-actions" dir="ltr">
      <Branches turn={turn} session={session} busy={busy} />
      {turn.content && <CopyButton text={turn.content} />}
      {turn.role === "user" && (
        <button type="button" class="lw-quiet" disabled={busy} onClick={onEdit}>
          Edit
        </button>
      )}
      {isLast && wasCut(turn) && (
        <button type="button" class="lw-quiet" disabled={busy} onClick={act(() => session.goOn())}>
          Continue
        </button>
      )}
      {(turn.role === "assistant" || turn.role === "tool") && (
        <button type="button" class="lw-quiet" disabled={busy} onClick={act(() => session.regenerate(turn.id))}>
          Regenerate
        </button>
      )}
      {turn.role === "assistant" && turn.stop_reason !== "error" && (
        <InsertAsCell
          model={session.model as AnyModel}
          code={async () =>
            (await session.inquire({ type: "to_code", request_id: newId(), turn: turn.id }, "code"))?.text
          }
        />
      )}
      <button type="button" class="lw-quiet" disabled={busy} onClick={act(() => session.delete(turn.id))}>
        Delete
      </button>
    </span>
  );
}

/** ‹ 2 / 3 › */
function Branches({ turn, session, busy }: Pick<ActionsProps, "turn" | "session" | "busy">) {
  const siblings = turn.siblings ?? [];
  const at = siblings.indexOf(turn.id);
  if (at < 0) return null;
  const to = (step: number, name: string, sign: string) => {
    const id = siblings[at + step];
    const go = (event: MouseEvent) => {
      if (!id) return;
      // What is shown next has the same buttons in the same place.
      const log = (event.currentTarget as Element).closest("[role=log]");
      session.focusSoon = () => log?.querySelector<HTMLElement>(`[data-turn="${id}"] [aria-label="${name}"]`);
      session.switch(id);
    };
    return (
      <button
        type="button"
        class="lw-quiet"
        aria-label={name}
        aria-disabled={!id || undefined}
        disabled={busy}
        onClick={go}
      >
        {sign}
      </button>
    );
  };
  return (
    // biome-ignore lint/a11y/useSemanticElements: a fieldset is for form fields
    <span class="lw-row lw-branches" role="group" aria-label="Branches">
      {to(-1, "Previous branch", "‹")}
      <span>{`${at + 1} / ${siblings.length}`}</span>
      {to(1, "Next branch", "›")}
    </span>
  );
}
