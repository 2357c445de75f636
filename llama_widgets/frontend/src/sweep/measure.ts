// What the runs are coloured, summed up and plotted by.

import { count, shortTime } from "../format";
import type { Colour } from "./messages";
import type { Run } from "./state";

export const COLOURS: Record<Colour, string> = {
  score: "score",
  mean_logprob: "mean log-probability",
  tokens: "tokens",
  seconds: "seconds",
  stop_reason: "stop reason",
  none: "nothing",
};

export type Measure = Exclude<Colour, "stop_reason" | "none">;

/** What is summed up: what the runs are coloured by if that is a number, else their scores. */
export function measureOf(colour: Colour): Measure {
  return colour === "stop_reason" || colour === "none" ? "score" : colour;
}

export function figure(measure: Measure, value: number): string {
  if (measure === "tokens") return count(value);
  if (measure === "seconds") return shortTime(value);
  return String(Number(value.toPrecision(3)));
}

export interface Summary {
  mean: number;
  /** Standard deviation of the values, 0 for one. */
  spread: number;
  values: readonly number[];
}

type Runs = readonly (Run | undefined)[];

export function summary(runs: Runs, indices: readonly number[], measure: Measure): Summary | null {
  const values = indices.map((index) => runs[index]?.[measure] ?? null).filter((value) => value !== null);
  if (values.length === 0) return null;
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return { mean, spread: values.length > 1 ? Math.sqrt(squares / (values.length - 1)) : 0, values };
}

/** From the smallest value of all runs to the greatest. */
export interface Scale {
  low: number;
  high: number;
}

export function scaleOf(runs: Runs, measure: Measure): Scale | null {
  let low = Number.POSITIVE_INFINITY;
  let high = Number.NEGATIVE_INFINITY;
  for (const run of runs) {
    const value = run?.[measure] ?? null;
    if (value === null) continue;
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  return low <= high ? { low, high } : null;
}

/** Where between the ends a value is, from 0 to 1. */
export function share({ low, high }: Scale, value: number): number {
  return high > low ? (value - low) / (high - low) : 0.5;
}

/** How long a bar is: from zero where no value is below it. */
export function length(scale: Scale, value: number): number {
  return scale.low >= 0 && scale.high > 0 ? value / scale.high : share(scale, value);
}
