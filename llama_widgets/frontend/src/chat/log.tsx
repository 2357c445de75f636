// The conversation: its end first, the rest as soon as there is time; follows its end unless the reader has left it.

import type { AnyModel } from "@anywidget/types";
import type { RefObject } from "preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { useStore } from "../hooks";
import { onFenceClick } from "./fences";
import type { ChatSession } from "./session";
import { Slice, useSlices, within } from "./slices";
import { Speech } from "./speech";
import { isBusy } from "./state";
import { firstKept } from "./status";

/** So near to the end, in pixels, counts as at the end. */
const NEAR = 32;

export function Log({ session, hint }: { session: ChatSession; hint: string }) {
  const turns = useStore(session.store, (state) => state.turns);
  const busy = useStore(session.store, (state) => isBusy(state) || state.gone);
  const liveId = useStore(session.store, (state) => state.live?.id);
  const asked = useStore(session.store, (state) => state.pending?.requestId);
  const log = useRef<HTMLDivElement>(null);
  const { following, away, onScroll, toEnd } = useFollowing(log);
  const slices = useSlices(session, turns, log, following);

  const jump = () => {
    toEnd();
    log.current?.focus();
  };
  useLayoutEffect(() => {
    const target = session.focusSoon?.();
    if (!target) return;
    session.focusSoon = null;
    target.focus({ preventScroll: true });
  }, [turns]);
  useLayoutEffect(() => {
    if (asked) toEnd(); // who asks wants to see the answer
  }, [asked]);

  const kept = firstKept(turns);
  const all = !session.store.state.earlier;
  const marked = { live: liveId, last: turns.at(-1)?.id, kept: all && kept === turns[0]?.id ? undefined : kept };
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
        <div>
          {turns.length === 0 && <p class="lw-empty lw-muted">{hint}</p>}
          {slices.map(({ number, turns: slice }) => (
            <Slice key={number} turns={slice} session={session} busy={busy} {...within(slice, marked)} />
          ))}
        </div>
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

/** Keeps the end in sight while what is in the box grows, until the reader scrolls up. */
function useFollowing(log: RefObject<HTMLElement | null>) {
  const following = useRef(true);
  const top = useRef(0);
  const [away, setAway] = useState(false);
  const fromEnd = (box: HTMLElement) => box.scrollHeight - box.scrollTop - box.clientHeight;
  const follow = () => {
    const box = log.current;
    if (!box) return;
    if (following.current) box.scrollTop = box.scrollHeight;
    setAway(fromEnd(box) > NEAR);
  };
  const onScroll = () => {
    const box = log.current;
    if (!box) return;
    // The browser scrolls too, where something above or below turns out to be higher than it had guessed; but it never
    // brings what is above into sight.
    if (fromEnd(box) <= NEAR) following.current = true;
    else if (box.scrollTop < top.current) following.current = false;
    top.current = box.scrollTop;
    setAway(fromEnd(box) > NEAR);
  };
  const toEnd = () => {
    following.current = true;
    follow();
  };
  useEffect(() => {
    const box = log.current;
    if (!box) return;
    const observer = new ResizeObserver(follow);
    for (const each of [box, ...box.children]) observer.observe(each);
    return () => observer.disconnect();
  }, []);
  return { following, away, onScroll, toEnd };
}
