// One turn of the conversation, settled or growing.

import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { MarkdownStream } from "../markdown/stream";
import type { Turn } from "../messages";
import { Actions } from "./actions";
import { EditBox } from "./edit";
import { Filled } from "./filled";
import type { ChatSession } from "./session";
import { callText, footer, thoughtsTitle, toolState } from "./status";

interface TurnProps {
  turn: Turn;
  session: ChatSession;
  /** An answer is being made: then nothing can be changed. */
  busy: boolean;
  isLast: boolean;
  /** What is above is not told to the model any more. */
  isFirstKept: boolean;
}

export function TurnView(props: TurnProps) {
  return (
    <>
      {props.isFirstKept && (
        <p class="lw-left-out lw-muted lw-small">
          The model is no longer told what stands above: the context was full.
        </p>
      )}
      <OneTurn {...props} />
    </>
  );
}

function OneTurn(props: TurnProps) {
  const { turn, session } = props;
  if (turn.role === "tool") return <Tool {...props} />;
  if (turn.role !== "assistant") return <Said {...props} />;
  // Not a part of this component's state: a token must not draw the other turns again.
  const growing = session.store.state.live?.id === turn.id && turn.stop_reason === undefined;
  return (
    // biome-ignore lint/a11y/useSemanticElements: a fieldset is for form fields
    <div class="lw-turn lw-assistant" role="group" aria-label="Answer" dir="auto" data-turn={turn.id}>
      {growing ? <Growing session={session} /> : <Settled {...props} />}
    </div>
  );
}

function Said(props: TurnProps) {
  const { turn, session, busy } = props;
  const [editing, setEditing] = useState(false);
  return (
    // biome-ignore lint/a11y/useSemanticElements: a fieldset is for form fields
    <div
      class={`lw-turn lw-${turn.role}`}
      role="group"
      aria-label={turn.role === "user" ? "Question" : "System prompt"}
      dir="auto"
      data-turn={turn.id}
    >
      {editing ? (
        <EditBox turn={turn} session={session} busy={busy} onClose={() => setEditing(false)} />
      ) : (
        <>
          <div class="lw-said">
            <Filled turn={turn} />
          </div>
          <Actions {...props} onEdit={() => setEditing(true)} />
        </>
      )}
    </div>
  );
}

/** A card: what was called and how far that is; folded, what came of it. */
function Tool(props: TurnProps) {
  const { turn, session, busy, isLast } = props;
  const calls = session.store.state.turns.flatMap(({ tool_calls }) => tool_calls ?? []);
  const call = calls.find(({ id }) => id === turn.tool_call_id);
  return (
    <>
      <details class="lw-turn lw-tool" aria-label={`Tool ${turn.name ?? ""}`} dir="auto" data-turn={turn.id}>
        <summary>
          {call ? <code>{callText(call)}</code> : turn.name || "Tool"}
          <span class="lw-muted">{toolState(turn)}</span>
        </summary>
        {turn.content}
      </details>
      {/* No answer followed: it was stopped. */}
      {isLast && !busy && (
        <div class="lw-row lw-footer">
          <Actions {...props} />
        </div>
      )}
    </>
  );
}

function Settled(props: TurnProps) {
  const { turn, session } = props;
  const body = useRef<HTMLDivElement>(null);
  useLayoutEffect(() => {
    if (!body.current) return;
    body.current.replaceChildren();
    new MarkdownStream(body.current, session.parts).show(turn.content, true);
  }, [turn.content]);
  const figures = footer(turn);
  return (
    <>
      {turn.thoughts && (
        <details class="lw-thought">
          <summary>{thoughtsTitle(turn)}</summary>
          {turn.thoughts}
        </details>
      )}
      <div class="lw-markdown" ref={body} />
      {turn.stop_reason !== "tool_calls" && (
        <div class="lw-row lw-footer lw-muted lw-small" dir="ltr">
          <span>{figures}</span>
          <Actions {...props} />
        </div>
      )}
    </>
  );
}

function Growing({ session }: { session: ChatSession }) {
  const body = useRef<HTMLDivElement>(null);
  const thoughts = useRef<HTMLDetailsElement>(null);
  useLayoutEffect(() => {
    if (!body.current) return;
    const markdown = new MarkdownStream(body.current, session.parts);
    const draw = () => {
      const { live } = session.store.state;
      if (!live) return;
      markdown.show(live.text, false);
      const [title, box] = thoughts.current?.children ?? [];
      if (thoughts.current && title && box && live.thoughts) {
        thoughts.current.hidden = false;
        title.textContent = live.text ? "Thoughts" : "Thinking…";
        box.textContent = live.thoughts;
      }
    };
    draw();
    return session.store.subscribe(draw);
  }, []);
  return (
    <>
      <details class="lw-thought" ref={thoughts} hidden>
        <summary />
        <div />
      </details>
      <div class="lw-markdown lw-growing" ref={body} />
    </>
  );
}
