// A long conversation in slices: the last are drawn at once, the others from the end to the beginning while the page has
// nothing else to do. All of it is in the page then, for the keyboard, for readers and to be found; what is out of sight
// is not laid out (`content-visibility` of `.lw-slice`).

import { Component, type RefObject } from "preact";
import { useLayoutEffect, useReducer, useRef } from "preact/hooks";
import type { Turn } from "../messages";
import type { ChatSession } from "./session";
import { TurnView } from "./turn";

/** So many turns are drawn in one go. */
const SIZE = 16;
/** Of so many slices the last screen is made, also where the last has one turn. */
const AT_ONCE = 2;

type Turns = readonly Turn[];

/** Some turns that follow each other; its number is where they stand in the whole conversation, also while some are missing. */
interface Numbered {
  number: number;
  turns: Turns;
}

/** Returns the slices that are to be drawn by now: at first the conversation's end, soon all of it. */
export function useSlices(
  session: ChatSession,
  turns: Turns,
  log: RefObject<HTMLElement | null>,
  following: RefObject<boolean>,
): Numbered[] {
  const drawn = useRef(new Set<string>());
  /** How far from its end the reader was before something came above. */
  const fromEnd = useRef<number | null>(null);
  const [, redraw] = useReducer((count: number, _: undefined) => count + 1, 0);

  const { earlier } = session.store.state;
  const missing = earlier?.missing ?? 0;
  const slices: Numbered[] = [];
  for (let number = Math.floor(missing / SIZE); number * SIZE < missing + turns.length; number++) {
    const start = number * SIZE - missing;
    slices.push({ number, turns: turns.slice(Math.max(0, start), start + SIZE) });
  }
  // By turns, not by their place: where one is deleted, those behind it move up, and where another conversation is
  // opened, none was drawn.
  const was = (at: number) => slices[at]?.turns.some(({ id }) => drawn.current.has(id));
  let from = slices.length;
  while (from > 0 && (slices.length - from < AT_ONCE || was(from - 1))) from -= 1;
  const shown = slices.slice(from);
  drawn.current = new Set(shown.flatMap((slice) => slice.turns.map(({ id }) => id)));
  const next = slices[from - 1]?.turns[0]?.id;

  useLayoutEffect(() => {
    const box = log.current;
    // Most browsers keep what is read in its place by themselves, but not at the very top, and some not at all.
    if (box && fromEnd.current !== null) box.scrollTop = box.scrollHeight - fromEnd.current;
    fromEnd.current = null;
    if (!next) return earlier ? soon(() => void session.fetchEarlier()) : undefined;
    return soon(() => {
      drawn.current.add(next);
      if (box && !following.current) fromEnd.current = box.scrollHeight - box.scrollTop;
      redraw(undefined);
    });
  }, [next, earlier]);
  return shown;
}

/** Turns that are drawn in a way of their own. */
interface Marked {
  /** Grows. */
  live: string | undefined;
  last: string | undefined;
  /** The first that the model is told. */
  kept: string | undefined;
}

/** Returns what is marked of these turns, so that a slice without it stays as it is when a mark moves. */
export function within(turns: Turns, { live, last, kept }: Marked): Marked {
  const here = (id: string | undefined) => (id && turns.some((turn) => turn.id === id) ? id : undefined);
  return { live: here(live), last: here(last), kept: here(kept) };
}

interface SliceProps extends Marked {
  turns: Turns;
  session: ChatSession;
  busy: boolean;
}

export class Slice extends Component<SliceProps> {
  override shouldComponentUpdate({ turns, busy, live, last, kept }: SliceProps): boolean {
    const was = this.props;
    const same = busy === was.busy && live === was.live && last === was.last && kept === was.kept;
    return !same || turns.length !== was.turns.length || turns.some((turn, at) => turn !== was.turns[at]);
  }

  override render({ turns, session, busy, live, last, kept }: SliceProps) {
    return (
      <div class="lw-slice">
        {turns.map((turn) => (
          <TurnView
            key={`${turn.id}${turn.id === live}`}
            turn={turn}
            session={session}
            busy={busy}
            isLast={turn.id === last}
            isFirstKept={turn.id === kept}
          />
        ))}
      </div>
    );
  }
}

/** Calls back when what came meanwhile has had its turn; returns what takes that back. */
function soon(callback: () => void): () => void {
  const { port1, port2 } = new MessageChannel(); // a timer would wait, and so would an idle page for its next frame
  port1.onmessage = callback;
  port2.postMessage(null);
  return () => port1.close();
}
