// Answers beside each other, their tokens coloured by probability, and what else each token could have been.

import { useRef, useState } from "preact/hooks";
import { useStore } from "../hooks";
import { Alternatives } from "./alternatives";
import { TokenList } from "./list";
import { type Line, type TokenSession, tokensOf } from "./session";
import type { TabProps } from "./view";
import { some } from "./words";

/** Which token is looked at. */
interface Place {
  line: string;
  at: number;
}

export function Answers({ session, busy }: TabProps) {
  const lines = useStore(session.store, (state) => state.lines);
  const [place, setPlace] = useState<Place | null>(null);
  const [fresh, setFresh] = useState(0);
  const root = useRef<HTMLDivElement>(null);
  if (!lines.some(({ tokens, growing }) => growing || tokens.length > 0)) {
    return (
      <p class="lw-empty lw-muted" role="status">
        {busy ? "Reading the text…" : "There are no tokens yet."}
      </p>
    );
  }
  const line = lines.find(({ id }) => id === place?.line) ?? (lines[0] as Line);
  const token = place ? tokensOf(lines, line)[place.at] : undefined;
  /** The tokens of the answer that is looked at have the keyboard again. */
  const back = () => root.current?.querySelector<HTMLElement>('[aria-selected="true"]')?.focus();
  return (
    <div ref={root}>
      <div class="lw-answers" data-many={lines.length > 1 || undefined}>
        {lines.map((each) => (
          <Answer
            key={each.id}
            lines={lines}
            line={each}
            at={place?.line === each.id ? place.at : null}
            onPick={(at) => setPlace({ line: each.id, at })}
            onOpen={() => setFresh((before) => before + 1)}
            session={session}
          />
        ))}
      </div>
      {place && token ? (
        <Alternatives
          token={token}
          vocabulary={line.n_vocab}
          focus={fresh}
          disabled={busy}
          onLeave={back}
          onChoose={(other) => {
            session.send({ type: "branch", line: line.id, position: place.at, token: other });
            back();
          }}
        />
      ) : (
        <p class="lw-empty lw-muted">Choose a token to see how likely it was, and what else it could have been.</p>
      )}
      <Legend />
    </div>
  );
}

interface AnswerProps {
  lines: readonly Line[];
  line: Line;
  at: number | null;
  onPick: (at: number) => void;
  onOpen: () => void;
  session: TokenSession;
}

function Answer({ lines, line, at, onPick, onOpen, session }: AnswerProps) {
  const tokens = tokensOf(lines, line);
  return (
    <section class="lw-answer" aria-label={line.title}>
      <div class="lw-row lw-small">
        <span class="lw-grow lw-muted">
          <b>{line.title}</b> · {some(tokens.length, "token")}
        </span>
        {line.growing && (
          <button
            type="button"
            class="lw-button lw-stop"
            onClick={() => session.send({ type: "abort", target: line.id })}
          >
            Stop
          </button>
        )}
      </div>
      <TokenList
        name={`Tokens of ${line.title}`}
        tokens={tokens}
        shared={line.parent ? line.position : 0}
        at={at}
        onPick={onPick}
        onOpen={onOpen}
      />
    </section>
  );
}

function Legend() {
  return (
    <p class="lw-legend lw-small lw-muted">
      <span class="lw-token" data-p="likely">
        likely
      </span>{" "}
      50 % and more{" "}
      <span class="lw-token" data-p="possible">
        possible
      </span>{" "}
      15 to 50 %{" "}
      <span class="lw-token" data-p="surprising">
        surprising
      </span>{" "}
      less
    </p>
  );
}
