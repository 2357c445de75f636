// A round with its answers side by side, the vote, how the sides stand, and the message box.

import { useEffect, useRef, useState } from "preact/hooks";
import { Composer } from "../chat/composer";
import { isBusy } from "../chat/state";
import { status } from "../chat/status";
import { useStore, useTraits } from "../hooks";
import type { ChatTraits } from "../messages";
import { Alert, Spoken } from "../ui";
import { Column, LETTERS } from "./column";
import type { Round, Vote } from "./messages";
import type { CompareSession } from "./session";
import { type CompareState, hasEnded, mayVote } from "./state";
import { Tally } from "./tally";

export function CompareView({ session }: { session: CompareSession }) {
  const { error } = useTraits<{ error: ChatTraits["error"] }, "error">(session.model as never, "error");
  const state = useStore(session.rounds, (now) => now);
  const gone = useStore(session.store, (now) => now.gone);
  const refused = useStore(session.store, (now) => now.refused);
  const asked = useStore(session.store, (now) => now.pending?.requestId);
  /** The round that is looked at; `null` is always the last. */
  const [chosen, setChosen] = useState<number | null>(null);
  const root = useRef<HTMLDivElement>(null);
  const answers = useRef<HTMLDivElement>(null);

  const number = Math.min(chosen ?? state.rounds.length - 1, state.rounds.length - 1);
  const round = state.rounds[number];
  const votable = mayVote(round) && !gone;

  useEffect(() => {
    if (!asked) return;
    setChosen(null); // who asks wants to see the answers
    // The keys that vote are no letters there. In the box, the next message could be written.
    if (root.current?.contains(document.activeElement)) answers.current?.focus({ preventScroll: true });
  }, [asked]);

  useEffect(() => {
    // What was refused stands in the box again.
    if (refused && answers.current === document.activeElement) root.current?.querySelector("textarea")?.focus();
  }, [refused]);

  const vote = (which: Vote) => {
    session.judge(number, which);
    root.current?.querySelector("textarea")?.focus({ preventScroll: true });
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.isComposing || event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape") return void session.stop();
    if (!votable || !round || (event.target as Element).matches("textarea, input")) return;
    const place = Number.parseInt(event.key, 10) - 1;
    const which = round.answers[place] ? place : event.key.toLowerCase() === "t" ? "tie" : null;
    if (which === null) return;
    event.preventDefault(); // it would be written into the box, where the keyboard goes on
    vote(which);
  };
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: keys that act wherever the focus is within
    <div class="lw-box lw-compare" ref={root} onKeyDown={onKeyDown}>
      <div class="lw-bar lw-row">
        <Rounds number={number} many={state.rounds.length} onChoose={setChosen} />
        <span class="lw-grow" />
        <button
          type="button"
          class="lw-button"
          aria-pressed={state.blind}
          title="Names are hidden and places shuffled until you vote"
          disabled={gone}
          onClick={() => session.hideNames(!state.blind)}
        >
          Blind
        </button>
      </div>
      {/* biome-ignore lint/a11y/useSemanticElements: a fieldset is for form fields */}
      <div class="lw-answers" ref={answers} role="group" aria-label="Answers" tabIndex={-1}>
        {round ? (
          <>
            <div class="lw-user lw-said" dir="auto">
              {round.message}
            </div>
            <div class="lw-columns" data-many={round.answers.length}>
              {round.answers.map((_, place) => (
                <Column key={`${number}-${place}`} session={session} number={number} place={place} />
              ))}
            </div>
            {hasEnded(round) && <Votes round={round} enabled={votable} onVote={vote} />}
          </>
        ) : (
          <div class="lw-empty lw-muted">
            Ask something: all sides answer, and you say which is better.
            <ul>
              {state.tally.map(({ side }) => (
                <li key={side}>{side}</li>
              ))}
            </ul>
          </div>
        )}
      </div>
      <Tally standings={state.tally} />
      <Alert error={error ?? refused} />
      <Composer session={session} enabled={!gone} loadedPath="" />
      <StatusBar session={session} state={state} round={round} votable={votable} />
    </div>
  );
}

interface RoundsProps {
  number: number;
  many: number;
  onChoose: (number: number) => void;
}

function Rounds({ number, many, onChoose }: RoundsProps) {
  if (many === 0) return <b>Compare</b>;
  return (
    // biome-ignore lint/a11y/useSemanticElements: a fieldset is for form fields
    <div class="lw-row" role="group" aria-label="Rounds">
      <button
        type="button"
        class="lw-quiet"
        aria-label="Earlier round"
        disabled={number === 0}
        onClick={() => onChoose(number - 1)}
      >
        ‹
      </button>
      <b>
        Round {number + 1} of {many}
      </b>
      <button
        type="button"
        class="lw-quiet"
        aria-label="Later round"
        disabled={number === many - 1}
        onClick={() => onChoose(number + 1)}
      >
        ›
      </button>
    </div>
  );
}

interface VotesProps {
  round: Round;
  enabled: boolean;
  onVote: (vote: Vote) => void;
}

function Votes({ round, enabled, onVote }: VotesProps) {
  const button = (vote: Vote, words: string, key: string) => (
    <button
      key={key}
      type="button"
      class="lw-button"
      aria-pressed={round.vote === vote}
      aria-keyshortcuts={key}
      aria-disabled={!enabled || undefined}
      onClick={() => enabled && onVote(vote)}
    >
      {words}{" "}
      <span class="lw-key" aria-hidden="true">
        {key}
      </span>
    </button>
  );
  return (
    // biome-ignore lint/a11y/useSemanticElements: a fieldset is for form fields
    <div class="lw-row lw-votes" role="group" aria-label="Vote">
      {round.answers.map((_, place) => button(place, `${LETTERS[place]} is better`, String(place + 1)))}
      {button("tie", "Tie", "T")}
    </div>
  );
}

interface StatusProps {
  session: CompareSession;
  state: CompareState;
  round: Round | undefined;
  votable: boolean;
}

function StatusBar({ session, state, round, votable }: StatusProps) {
  const writing = useStore(session.store, (now) => now);
  const { words, figures } = inWords(writing, state, round, votable);
  return (
    <>
      <div class="lw-status lw-row lw-muted lw-small">
        <span role="status" aria-live="off">
          {figures ? `${words} · ${figures}` : words}
        </span>
        <span class="lw-grow" />
        {isBusy(writing) && <span class="lw-hint">Esc stops</span>}
      </div>
      <Spoken>{words}</Spoken>
    </>
  );
}

const IDLE = { model: "-", state: "ready", loaded: null, progress: null, error: null } as const;

function inWords(
  writing: CompareSession["store"]["state"],
  { rounds, running }: CompareState,
  round: Round | undefined,
  votable: boolean,
): { words: string; figures: string } {
  const { gone, blocked, stopping, pending } = writing;
  if (gone || blocked || stopping || pending) return status(IDLE, writing);
  const last = rounds.at(-1);
  if (running && last) {
    const ended = last.answers.filter(({ state }) => state === "done" || state === "failed").length;
    return { words: "Answering", figures: `${ended} of ${last.answers.length} done` };
  }
  if (round && votable && round.vote === null) {
    return { words: `Which is better? Keys 1 to ${round.answers.length}, T for a tie`, figures: "" };
  }
  return { words: "Ready", figures: "" };
}
