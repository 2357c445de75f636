import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { Settling } from "../src/answer/settled";
import type { AnswerTraits } from "../src/messages";
import { MockModel } from "./mocks";

const MARKDOWN = { "text/markdown": "**Yes.**", "text/plain": "**Yes.**" };
const STAYS = { output_type: "display_data", data: MARKDOWN, metadata: {} };
const WIDGET = {
  output_type: "display_data",
  data: { "application/vnd.jupyter.widget-view+json": { model_id: "model-1" } },
};
const TEXT = { output_type: "stream", name: "stdout", text: "1" };

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

/** A notebook of one cell with these outputs, as JupyterLab's widget manager knows it. */
function notebookWith(outputs: object[]) {
  const cell = {
    id: "a",
    outputs,
    getOutputs: () => cell.outputs,
    setOutputs: (made: object[]) => {
      cell.outputs = made;
    },
  };
  const sharedModel = { cells: [cell], insertCell: () => null };
  return { cell, manager: { context: { model: { sharedModel } } } };
}

function settling(manager: object, settled: AnswerTraits["settled"] = null) {
  const model = new MockModel<AnswerTraits>({ cell: "a", settled }, { manager });
  const done = vi.fn();
  const page = new AbortController();
  return { model, done, page, settling: new Settling(model.as, done, page.signal) };
}

it("replaces the widget in a page that missed the update, and leaves the other outputs", () => {
  const { cell, manager } = notebookWith([TEXT, WIDGET]);
  const { model, done } = settling(manager);
  model.change({ settled: MARKDOWN });
  expect(done).not.toHaveBeenCalled();
  vi.runAllTimers();
  expect(cell.outputs).toEqual([TEXT, STAYS]);
  expect(done).toHaveBeenCalledOnce();
});

it("gives the answer to a cell whose outputs were lost with the page, and only to that", () => {
  for (const [outputs, seen, expected] of [
    [[], false, [STAYS]],
    [[TEXT], false, [TEXT]], // run again since
    [[], true, []], // drawn here, and then cleared by the user
  ] as const) {
    const { cell, manager } = notebookWith([...outputs]);
    const made = settling(manager, MARKDOWN);
    if (seen) made.settling.drawn(new AbortController().signal);
    vi.runAllTimers();
    expect(cell.outputs).toEqual(expected);
    expect(made.done).toHaveBeenCalledOnce();
  }
});

it("waits for its views to go where the notebook cannot be reached", () => {
  const { done, settling: made } = settling({}, MARKDOWN);
  vi.runAllTimers();
  expect(done).not.toHaveBeenCalled();
  const view = new AbortController();
  made.drawn(view.signal);
  view.abort();
  expect(done).toHaveBeenCalledOnce();
});

it("lets the beginning of an answer stay whose kernel is gone, and nothing in place of a whole one", () => {
  const { cell, manager } = notebookWith([TEXT, WIDGET]);
  const { model, settling: made } = settling(manager);
  made.broken("");
  expect(cell.outputs).toEqual([TEXT, WIDGET]);
  made.broken("Once");
  const text = expect.stringMatching(/^Once\n\n\(The kernel was restarted or is gone/);
  const stays = { output_type: "display_data", data: { "text/plain": text }, metadata: {} };
  expect(cell.outputs).toEqual([TEXT, stays]);
  cell.outputs = [WIDGET];
  model.change({ settled: MARKDOWN });
  made.broken("Once");
  expect(cell.outputs).toEqual([WIDGET]);
});

it("does nothing after the page has gone", () => {
  const { cell, manager } = notebookWith([WIDGET]);
  const { page, model, done } = settling(manager, MARKDOWN);
  page.abort();
  vi.runAllTimers();
  expect([cell.outputs, model.listeners, done.mock.calls]).toEqual([[WIDGET], 0, []]);
});
