// The sliders' arithmetic, held to what llama.cpp's own samplers do (tests/engine/test_distributions.py).

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { type Cut, chances, type Settings } from "../src/tokens/sampling";

interface Case {
  settings: Settings;
  after: number[];
  cut: Cut[];
}
const file = join(__dirname, "../../../tests/golden/distributions.json");
const golden: { logprobs: number[]; tail: number[][]; n_vocab: number; cases: Case[] } = JSON.parse(
  readFileSync(file, "utf8"),
);
const OPEN: Settings = { temperature: 1, top_k: 0, top_p: 1, min_p: 0 };
const total = (values: number[]) => values.reduce((sum, value) => sum + value, 0);

describe.each(golden.cases)("$settings", ({ settings, after, cut }) => {
  const { shown, others } = chances(golden, settings);

  it("leaves each token the probability that the sampler gives it", () => {
    after.forEach((wanted, index) => {
      // llama.cpp adds up the probabilities of top p in single precision: of 49,000 the sum is off by 1e-4.
      expect(Math.abs((shown[index]?.after ?? 0) - wanted)).toBeLessThan(1e-3);
    });
  });

  it("names what cut a token", () => {
    expect(shown.slice(0, cut.length).map((each) => each.cut)).toEqual(cut);
  });

  it("adds up to one, before and after", () => {
    expect(total(shown.map(({ before }) => before)) + others.before).toBeCloseTo(1, 4);
    expect(total(shown.map((each) => each.after)) + others.after).toBeCloseTo(1, 6);
  });
});

it("counts the others, and how many of them are left", () => {
  const count = golden.n_vocab - golden.logprobs.length;
  expect(chances(golden, OPEN).others).toMatchObject({ count, kept: count });
  expect(chances(golden, { ...OPEN, top_k: 100 }).others.kept).toBe(0);
  expect(chances(golden, { ...OPEN, top_k: 1000 }).others.kept).toBe(500);
});

it("never leaves nothing", () => {
  for (const settings of [
    { ...OPEN, top_p: 0 },
    { ...OPEN, min_p: 1 },
    { ...OPEN, top_k: 1, top_p: 0.01, min_p: 1 },
  ]) {
    const { shown } = chances(golden, settings);
    expect(shown.filter(({ after }) => after > 0)).toHaveLength(1);
    expect(shown[0]?.after).toBe(1);
  }
});

it("levels out with the temperature, and sharpens without", () => {
  const likeliest = (temperature: number) => chances(golden, { ...OPEN, temperature }).shown[0]?.after as number;
  const falling = [0, 0.2, 0.5, 1, 1.5, 2].map(likeliest);
  expect(falling).toEqual([...falling].sort((a, b) => b - a));
  expect(falling[0]).toBe(1);
});
