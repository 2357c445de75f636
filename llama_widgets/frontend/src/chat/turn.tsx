// One turn of the conversation, settled or growing.

import { useLayoutEffect, useRef } from "preact/hooks";
import { MarkdownStream } from "../markdown/stream";
import type { Turn } from "../messages";
import { CopyButton } from "../ui";
import type { ChatSession } from "./session";
import { callText, footer, thoughtsTitle, toolTitle } from "./status";

interface TurnProps {
  turn: Turn;
  session: ChatSession;
  /** Called after the text on the screen has changed. */
  onDrawn: () => void;
}

export function TurnView({ turn, session, onDrawn }: TurnProps) {
  if (turn.role === "tool") return <Tool turn={turn} />;
  if (turn.role !== "assistant") return <Said turn={turn} />;
  // Not a part of this component's state: a token must not draw the other turns again.
  const growing = session.store.state.live?.id === turn.id && turn.stop_reason === undefined;
  return (
    // biome-ignore lint/a11y/useSemanticElements: a fieldset is for form fields
    <div class="lw-turn lw-assistant" role="group" aria-label="Answer" dir="auto" data-turn={turn.id}>
      {growing ? <Growing session={session} onDrawn={onDrawn} /> : <Settled turn={turn} onDrawn={onDrawn} />}
    </div>
  );
}

function Said({ turn }: { turn: Turn }) {
  return (
    // biome-ignore lint/a11y/useSemanticElements: a fieldset is for form fields
    <div
      class={`lw-turn lw-${turn.role}`}
      role="group"
      aria-label={turn.role === "user" ? "Question" : "System prompt"}
      dir="auto"
      data-turn={turn.id}
    >
      {turn.content}
    </div>
  );
}

function Tool({ turn }: { turn: Turn }) {
  return (
    <details class="lw-turn lw-thought" aria-label={`Tool ${turn.name ?? ""}`} dir="auto" data-turn={turn.id}>
      <summary>{toolTitle(turn)}</summary>
      {turn.content}
    </details>
  );
}

function Settled({ turn, onDrawn }: { turn: Turn; onDrawn: () => void }) {
  const body = useRef<HTMLDivElement>(null);
  useLayoutEffect(() => {
    if (!body.current) return;
    body.current.replaceChildren();
    new MarkdownStream(body.current).show(turn.content, true);
    onDrawn();
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
      {turn.tool_calls?.map((call) => (
        <code key={call.id} class="lw-call">
          {callText(call)}
        </code>
      ))}
      <div class="lw-row lw-footer lw-muted lw-small" dir="ltr">
        <span>{figures}</span>
        <span class="lw-grow" />
        {turn.content && <CopyButton text={turn.content} />}
      </div>
    </>
  );
}

function Growing({ session, onDrawn }: { session: ChatSession; onDrawn: () => void }) {
  const body = useRef<HTMLDivElement>(null);
  const thoughts = useRef<HTMLDetailsElement>(null);
  useLayoutEffect(() => {
    if (!body.current) return;
    const markdown = new MarkdownStream(body.current);
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
      onDrawn();
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
