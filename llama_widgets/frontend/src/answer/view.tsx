// What is shown of one answer: what the model thinks, calls and says, how far it is, and Stop.

import type { AnyModel } from "@anywidget/types";
import { useRef } from "preact/hooks";
import { onFenceClick } from "../chat/fences";
import { useStatus } from "../chat/panel";
import type { ChatSession } from "../chat/session";
import { Speech } from "../chat/speech";
import { isBusy } from "../chat/state";
import { statusText } from "../chat/status";
import { TurnView } from "../chat/turn";
import { percent } from "../format";
import { useStore, useTraits } from "../hooks";
import { fileName } from "../selector/choice";
import { Alert, Bar, Spoken } from "../ui";

export function AnswerView({ session }: { session: ChatSession }) {
  const traits = useTraits(session.model, "model", "state", "loaded", "progress", "error");
  const turns = useStore(session.store, (state) => state.turns);
  const live = useStore(session.store, (state) => state.live?.id);
  const busy = useStore(session.store, isBusy);
  const stopping = useStore(session.store, (state) => state.stopping && !state.blocked);
  const line = useStatus(session, traits);
  const log = useRef<HTMLDivElement>(null);
  const { progress } = traits;
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key === "Escape") void session.stop();
  };
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: Escape stops wherever the focus is within
    <div class="lw-answer" data-state={traits.state} onKeyDown={onKeyDown}>
      {/* biome-ignore lint/a11y/useKeyWithClickEvents: takes the clicks of the buttons within, which have their keys */}
      <div
        ref={log}
        class="lw-said-so-far"
        role="log"
        aria-label="Conversation"
        // Each token would be read out; sentences are, below.
        aria-live="off"
        onClick={(event) => void onFenceClick(event, session.model as AnyModel)}
      >
        {turns.map((turn) => (
          <TurnView
            key={`${turn.id} ${turn.id === live}`}
            turn={turn}
            session={session}
            busy={busy}
            isLast={false}
            isFirstKept={false}
          />
        ))}
      </div>
      <Speech session={session} log={log} />
      <Alert error={traits.error} />
      {progress && (
        <Bar
          name={progress.operation === "prefill" ? line.words : fileName(traits.model)}
          percent={percent(progress.done, progress.total)}
          text={statusText(line)}
        />
      )}
      <div class="lw-row lw-muted lw-small">
        <button
          type="button"
          class="lw-button lw-stop"
          aria-label="Stop"
          disabled={stopping || !busy}
          onClick={() => void session.stop()}
        >
          <span aria-hidden="true">■ </span>Stop
        </button>
        <span role="status" aria-live="off">
          {statusText(line)}
        </span>
      </div>
      <Spoken>{line.words}</Spoken>
    </div>
  );
}
