// Two runs side by side, with the words marked that only one of them has.

import { diffArrays } from "diff";
import { useMemo } from "preact/hooks";
import { CloseButton, figuresOf, Shown, useRun } from "./run";
import type { SweepSession } from "./session";
import type { Run } from "./state";

interface Side {
  index: number;
  run: Run | undefined;
  title: string;
}

interface SidesProps {
  session: SweepSession;
  sides: readonly Side[];
  onClose: () => void;
}

/** Long texts that have little in common take long to compare: then they stand there unmarked. */
const PATIENCE_MS = 60;

export interface Piece {
  text: string;
  /** Whether the other one does not have it. */
  own: boolean;
}

/** Returns both texts in pieces, or `null` where they have too little in common. */
export function differences(left: string, right: string): [Piece[], Piece[]] | null {
  const changes = diffArrays(words(left), words(right), { timeout: PATIENCE_MS });
  if (!changes) return null;
  const side = (other: "added" | "removed", own: "added" | "removed") =>
    changes.filter((each) => !each[other]).map((each) => ({ text: each.value.join(""), own: each[own] }));
  return [side("added", "removed"), side("removed", "added")];
}

/** Words, spaces and signs. */
function words(text: string): string[] {
  return text.match(/[\p{L}\p{N}_]+|\s+|[^\p{L}\p{N}_\s]/gu) ?? [];
}

export function Sides({ session, sides, onClose }: SidesProps) {
  const [left, right] = sides as [Side, Side];
  const one = useRun(session, left.index, left.run);
  const other = useRun(session, right.index, right.run);
  const marked = useMemo(() => one && other && differences(one.text, other.text), [one, other]);
  const same = one && other && one.text === other.text;
  const of = (side: Side, at: 0 | 1) => {
    const all = at ? other : one;
    return (
      <div class="lw-aside">
        <b>{side.title}</b>
        {all && <p class="lw-muted lw-small">{figuresOf(all)}</p>}
        {all?.error && <p class="lw-failed">Failed: {all.error}</p>}
        <p class="lw-verbatim">
          {marked
            ? marked[at].map(({ text, own }, place) => (own ? <mark key={place}>{text}</mark> : text))
            : (all?.text ?? side.run?.text)}
        </p>
      </div>
    );
  };
  return (
    <Shown label={`Runs ${left.index + 1} and ${right.index + 1}`} onClose={onClose}>
      <div class="lw-row lw-shown-head">
        <span class="lw-grow lw-muted lw-small" role="status">
          {same && "Both say the same."}
          {one && other && !same && (marked ? "What only one of them says is marked." : "They have little in common.")}
        </span>
        <CloseButton onClose={onClose} />
      </div>
      <div class="lw-sides">
        {of(left, 0)}
        {of(right, 1)}
      </div>
    </Shown>
  );
}
