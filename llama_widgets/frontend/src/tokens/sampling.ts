// What temperature, top k, top p and min p do to what may come next: computed here, so that a slider is followed at once.
// The twin is the sampler itself; ../../../tests/golden/distributions.json holds both to the same numbers.

export interface Settings {
  temperature: number;
  top_k: number;
  top_p: number;
  min_p: number;
}

/** The likeliest tokens from the likeliest on, and all others as [log-probability, how many] from the likeliest on. */
export interface Distribution {
  logprobs: readonly number[];
  tail: readonly (readonly number[])[];
}

export type Cut = "" | "top_k" | "top_p" | "min_p" | "temperature";

export interface Chance {
  before: number;
  after: number;
  cut: Cut;
}

/** All tokens that are not among the likeliest. */
export interface Others {
  count: number;
  kept: number;
  before: number;
  after: number;
}

interface Stack {
  logprob: number;
  count: number;
  cut: Cut;
  kept: number;
}

export function chances({ logprobs, tail }: Distribution, settings: Settings): { shown: Chance[]; others: Others } {
  const stacks: Stack[] = [
    ...logprobs.map((logprob) => ({ logprob, count: 1, cut: "" as Cut, kept: 1 })),
    ...tail.map(([logprob = 0, count = 0]) => ({ logprob, count, cut: "" as Cut, kept: count })),
  ];
  truncate(stacks, settings);
  const most = stacks[0]?.logprob ?? 0;
  // The likeliest is 0, so that nothing overflows however cold it is.
  const weights = stacks.map(({ logprob }) => Math.exp((logprob - most) / (settings.temperature || 1)));
  const total = stacks.reduce((sum, { kept }, at) => sum + kept * (weights[at] as number), 0);
  const of = ({ logprob, cut, kept }: Stack, at: number): Chance => ({
    before: Math.exp(logprob),
    after: kept ? (weights[at] as number) / total : 0,
    cut,
  });
  const rest = stacks.slice(logprobs.length);
  const others = { count: 0, kept: 0, before: 0, after: 0 };
  rest.forEach((stack, index) => {
    const { before } = of(stack, 0);
    others.count += stack.count;
    others.kept += stack.kept;
    others.before += stack.count * before;
    others.after += (stack.kept * (weights[logprobs.length + index] as number)) / total;
  });
  return { shown: stacks.slice(0, logprobs.length).map(of), others };
}

/** Cuts in llama.cpp's order: each works on what those before it have left, and none on the temperature. */
function truncate(stacks: Stack[], { temperature, top_k, top_p, min_p }: Settings): void {
  if (temperature === 0) {
    keep(stacks, "temperature", 1);
    return;
  }
  if (top_k > 0) keep(stacks, "top_k", top_k);
  if (top_p < 1) keep(stacks, "top_p", nucleus(stacks, top_p));
  if (min_p > 0) {
    const least = (stacks[0]?.logprob ?? 0) + Math.log(min_p);
    keep(
      stacks,
      "min_p",
      stacks.reduce((sum, { logprob, kept }) => sum + (logprob >= least ? kept : 0), 0),
    );
  }
}

/** Returns how many of the likeliest reach the probability `top_p` together. */
function nucleus(stacks: readonly Stack[], top_p: number): number {
  const wanted = top_p * stacks.reduce((sum, { logprob, kept }) => sum + kept * Math.exp(logprob), 0);
  let reached = 0;
  let count = 0;
  for (const { logprob, kept } of stacks) {
    const each = Math.exp(logprob);
    if (reached + kept * each >= wanted)
      return count + Math.max(1, Math.min(kept, Math.ceil((wanted - reached) / each)));
    reached += kept * each;
    count += kept;
  }
  return count;
}

function keep(stacks: Stack[], cut: Cut, count: number): void {
  let left = Math.max(1, count);
  for (const stack of stacks) {
    const kept = Math.min(stack.kept, left);
    if (kept < stack.kept && !stack.cut) stack.cut = cut;
    stack.kept = kept;
    left -= kept;
  }
}
