// One run in the grid.
//
// biome-ignore-all lint/a11y: as in the grid, which has the keyboard

import { figure, measureOf, type Scale, share } from "./measure";
import type { Colour } from "./messages";
import type { Run } from "./state";

interface CellProps {
  id: string;
  style: { width: string; marginLeft: string };
  column: number;
  active: boolean;
  picked: boolean;
  /** Missing where there is no such run. */
  run?: Run;
  /** What tells it from the other runs of its cell. */
  label?: string;
  lines: number;
  colour: Colour;
  scale: Scale | null;
  /** `pick` for the comparison. */
  onOpen?: (pick: boolean) => void;
}

/** How strong the strongest colour is: text on it has to be read. */
const STRONGEST = 36;

export function Cell({ id, style, column, active, picked, run, label, lines, colour, scale, onOpen }: CellProps) {
  const shown = run && tint(run, colour, scale);
  return (
    <div
      role="gridcell"
      id={id}
      class={`lw-run ${active ? "lw-active" : ""} ${picked ? "lw-picked" : ""}`}
      data-tint={shown?.name}
      style={{ ...style, ...(shown?.strength === undefined ? {} : { "--lw-share": `${shown.strength}%` }) }}
      aria-colindex={column}
      aria-selected={run ? picked : undefined}
      onClick={(event) => onOpen?.(event.shiftKey || event.ctrlKey || event.metaKey)}
    >
      {run && (
        <>
          {shown?.text && <span class="lw-figure lw-small">{shown.text}</span>}
          <span class="lw-clamp" style={{ "--lw-lines": lines, wordBreak: lines > 1 ? undefined : "break-all" }}>
            {label && <span class="lw-of lw-muted lw-small">{label} </span>}
            <Said run={run} />
          </span>
        </>
      )}
    </div>
  );
}

function Said({ run }: { run: Run }) {
  switch (run.state) {
    case "failed":
      return <span class="lw-failed">Failed: {run.text}</span>;
    case "running":
      return (
        <>
          {run.text}
          <span class="lw-caret" aria-hidden="true">
            ▍
          </span>
          {!run.text && <span class="lw-hidden">running</span>}
        </>
      );
    case "done":
      return <>{run.text || <span class="lw-muted">no text</span>}</>;
    default:
      return (
        <>
          {run.text && `${run.text} `}
          <span class="lw-muted">{run.state}</span>
        </>
      );
  }
}

interface Tint {
  name: string;
  /** The colour is never the only sign. */
  text: string;
  strength?: number;
}

function tint(run: Run, colour: Colour, scale: Scale | null): Tint | undefined {
  if (colour === "none") return undefined;
  if (colour === "stop_reason") {
    const name = run.state === "failed" ? "error" : ENDS[run.stop_reason];
    return name ? { name, text: run.stop_reason || run.state } : undefined;
  }
  const measure = measureOf(colour);
  const value = run[measure];
  if (value === null || !scale) return undefined;
  return { name: "share", text: figure(measure, value), strength: Math.round(STRONGEST * share(scale, value)) };
}

const ENDS: Record<string, string> = {
  eos: "ok",
  stop: "ok",
  tool_calls: "ok",
  max_tokens: "warn",
  context_full: "warn",
  abort: "warn",
};
