// The conversation: follows its end unless the reader has scrolled away from it.

import type { AnyModel } from "@anywidget/types";
import { useCallback, useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { useStore } from "../hooks";
import { onFenceClick } from "./fences";
import type { ChatSession } from "./session";
import { Speech } from "./speech";
import { isBusy } from "./state";
import { firstKept } from "./status";
import { TurnView } from "./turn";

/** So near to the end, in pixels, counts as at the end. */
const NEAR = 32;

export function Log({ session, hint }: { session: ChatSession; hint: string }) {
  const turns = useStore(session.store, (state) => state.turns);
  const busy = useStore(session.store, (state) => isBusy(state) || state.gone);
  const liveId = useStore(session.store, (state) => state.live?.id);
  const asked = useStore(session.store, (state) => state.pending?.requestId);
  const log = useRef<HTMLDivElement>(null);
  const following = useRef(true);
  const [away, setAway] = useState(false);

  const follow = useCallback(() => {
    const box = log.current;
    if (!box) return;
    if (following.current) box.scrollTop = box.scrollHeight;
    else setAway(box.scrollHeight - box.scrollTop - box.clientHeight > NEAR);
  }, []);
  const onScroll = useCallback(() => {
    const box = log.current;
    if (!box) return;
    following.current = box.scrollHeight - box.scrollTop - box.clientHeight <= NEAR;
    setAway(!following.current);
  }, []);
  const toEnd = () => {
    following.current = true;
    setAway(false);
    follow();
  };
  const jump = () => {
    toEnd();
    log.current?.focus();
  };
  useLayoutEffect(() => {
    follow();
    const target = session.focusSoon?.();
    if (!target) return;
    session.focusSoon = null;
    target.focus({ preventScroll: true });
  }, [turns]);
  useLayoutEffect(() => {
    if (asked) toEnd(); // who asks wants to see the answer
  }, [asked]);
  useEffect(() => {
    // A view is drawn before it is in the page, and its width changes later.
    const observer = new ResizeObserver(follow);
    if (log.current) observer.observe(log.current);
    return () => observer.disconnect();
  }, []);

  const kept = firstKept(turns);
  return (
    <div class="lw-log-frame">
      {/* biome-ignore lint/a11y/useKeyWithClickEvents: takes the clicks of the buttons within, which have their keys */}
      <div
        ref={log}
        class="lw-log"
        role="log"
        aria-label="Conversation"
        // Each token would be read out; sentences are, below.
        aria-live="off"
        // biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, so the keyboard must reach it
        tabIndex={0}
        onScroll={onScroll}
        onClick={(event) => void onFenceClick(event, session.model as AnyModel)}
      >
        {turns.length === 0 && <p class="lw-empty lw-muted">{hint}</p>}
        {turns.map((turn, index) => (
          <TurnView
            key={`${turn.id}${turn.id === liveId}`}
            turn={turn}
            session={session}
            busy={busy}
            isLast={index === turns.length - 1}
            isFirstKept={turn.id === kept && index > 0}
            onDrawn={follow}
          />
        ))}
      </div>
      {away && (
        <button type="button" class="lw-button lw-jump" onClick={jump}>
          Jump to end
        </button>
      )}
      <Speech session={session} log={log} />
    </div>
  );
}
