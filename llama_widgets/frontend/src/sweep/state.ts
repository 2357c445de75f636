// What a page knows of a sweep: how its grid is spanned, and of each run what the grid shows.

import type { Columns, Dimension, Standing, ToView } from "./messages";

export interface Run {
  state: string;
  /** The reply, or its beginning; of a failed run, why. */
  text: string;
  stop_reason: string;
  tokens: number | null;
  seconds: number | null;
  mean_logprob: number | null;
  score: number | null;
}

export interface SweepState {
  synced: boolean;
  gone: boolean;
  dimensions: readonly Dimension[];
  /** For each dimension which of its values each run has, -1 where it has none. */
  codes: readonly (readonly number[])[];
  /** By their number; those that wait are not there. */
  runs: readonly (Run | undefined)[];
  standing: Standing;
}

export type SweepAction = ToView | { type: "gone" };

export const INITIAL: SweepState = {
  synced: false,
  gone: false,
  dimensions: [],
  codes: [],
  runs: [],
  standing: { state: "running", done: 0, failed: 0, total: 0, eta_s: null, rate: null, notices: [] },
};

export function reduce(state: SweepState, action: SweepAction): SweepState {
  switch (action.type) {
    case "sweep_shown": {
      const { dimensions, codes, standing, runs } = action;
      return { ...state, synced: true, dimensions, codes, standing, runs: put([], runs, standing.total) };
    }
    case "sweep_changed": {
      const { standing, runs } = action;
      return { ...state, standing, runs: put(state.runs, runs, standing.total) };
    }
    case "gone":
      return { ...state, gone: true, ...ended(state) };
    default:
      return state;
  }
}

/** Nothing runs any more: what was under way is not to look as if it went on. */
function ended({ standing, runs }: SweepState): Pick<SweepState, "standing" | "runs"> {
  const stop = <T extends { state: string }>(it: T): T => (it.state === "running" ? { ...it, state: "stopped" } : it);
  return { standing: stop(standing), runs: runs.map((run) => run && stop(run)) };
}

function put(before: readonly (Run | undefined)[], columns: Columns, total: number): readonly (Run | undefined)[] {
  const runs = before.slice(0, total);
  columns.index.forEach((index, at) => {
    runs[index] = {
      state: columns.state[at] ?? "waiting",
      text: columns.text[at] ?? "",
      stop_reason: columns.stop_reason[at] ?? "",
      tokens: columns.tokens[at] ?? null,
      seconds: columns.seconds[at] ?? null,
      mean_logprob: columns.mean_logprob[at] ?? null,
      score: columns.score[at] ?? null,
    };
  });
  return runs;
}
