// One answer, growing or whole.

import { useLayoutEffect, useRef } from "preact/hooks";
import { onFenceClick } from "../chat/fences";
import { footer, thoughtsTitle } from "../chat/status";
import { count, percent } from "../format";
import { useStore } from "../hooks";
import { MarkdownStream } from "../markdown/stream";
import { Bar, CopyButton } from "../ui";
import type { Answer } from "./messages";
import type { CompareSession } from "./session";

export const LETTERS = "ABCD";

interface ColumnProps {
  session: CompareSession;
  number: number;
  place: number;
}

export function Column({ session, number, place }: ColumnProps) {
  const answer = useStore(session.rounds, ({ rounds }) => rounds[number]?.answers[place]);
  const name = useStore(session.rounds, ({ rounds }) => rounds[number]?.names[place] ?? "");
  const vote = useStore(session.rounds, ({ rounds }) => rounds[number]?.vote);
  if (!answer) return null;
  const letter = LETTERS[place] ?? "";
  const ended = answer.state === "done" || answer.state === "failed";
  return (
    // biome-ignore lint/a11y/useSemanticElements: a fieldset is for form fields
    <div class="lw-column" role="group" aria-label={`Answer ${letter}`} data-better={vote === place || undefined}>
      <div class="lw-row lw-side">
        <b>{letter}</b>
        <span class="lw-grow lw-ellipsis" title={name}>
          {name}
        </span>
        {vote === place && <span class="lw-better">✓ better</span>}
      </div>
      {answer.thoughts && (
        <details class="lw-thought">
          <summary>{ended ? thoughtsTitle(figures(answer)) : answer.text ? "Thoughts" : "Thinking…"}</summary>
          {answer.thoughts}
        </details>
      )}
      <Text answer={answer} ended={ended} session={session} />
      {!ended && !answer.text && !answer.thoughts && <Waiting answer={answer} letter={letter} />}
      {answer.error && <p class="lw-alert">{answer.error}</p>}
      {ended && (
        <div class="lw-row lw-footer lw-muted lw-small">
          <span class="lw-grow">{footer(figures(answer))}</span>
          {answer.text && <CopyButton text={answer.text} />}
        </div>
      )}
    </div>
  );
}

function Text({ answer, ended, session }: { answer: Answer; ended: boolean; session: CompareSession }) {
  const body = useRef<HTMLDivElement>(null);
  const drawn = useRef<MarkdownStream>(undefined);
  useLayoutEffect(() => {
    if (!body.current) return;
    drawn.current ??= new MarkdownStream(body.current, session.parts);
    drawn.current.show(answer.text, ended);
  }, [answer.text, ended]);
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: takes the clicks of the buttons within, which have their keys
    // biome-ignore lint/a11y/noStaticElementInteractions: as above
    <div
      class={answer.state === "generating" ? "lw-markdown lw-growing" : "lw-markdown"}
      dir="auto"
      ref={body}
      onClick={(event) => void onFenceClick(event, session.model)}
    />
  );
}

function Waiting({ answer: { state, done, total }, letter }: { answer: Answer; letter: string }) {
  const part = percent(done, total);
  if (state === "loading" || state === "prefill") {
    const what = state === "loading" ? "Loading model" : "Reading the prompt";
    const how = state === "loading" ? (part === null ? "" : ` · ${part} %`) : ` · ${count(done)} tokens`;
    return (
      <>
        <p class="lw-muted lw-small">{what + how}</p>
        <Bar name={`${what} of answer ${letter}`} percent={part} text={what + how} />
      </>
    );
  }
  return <p class="lw-muted lw-small">{state === "waiting" ? "Waiting" : "Answering"}</p>;
}

/** What an answer cost; of a blind round nothing, as it would tell who is who. */
function figures({ usage, timings, stop_reason }: Answer) {
  return { stop_reason, ...(usage && { usage }), ...(timings && { timings }) };
}
