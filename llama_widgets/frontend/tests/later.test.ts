// Widgets whose code is a part: it comes when a page first shows one.

import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { forget, supply } from "../src/markdown/parts";
import make from "../src/widgets";
import { MockModel } from "./mocks";

let ending: AbortController;
const module = () => {
  const widget = { initialize: vi.fn(), render: vi.fn() };
  return { widget, default: vi.fn(() => widget) };
};

beforeEach(() => {
  ending = new AbortController();
});
afterEach(() => {
  ending.abort();
  forget();
});

function shown() {
  const model = new MockModel({ _widget: "SweepGrid", _bundle: "IPY_MODEL_x" });
  const props = { model: model.as, el: document.createElement("div"), signal: ending.signal } as never;
  const widget = make();
  widget.initialize(props);
  widget.render(props);
  return { model, props };
}

it("asks for its code once, and begins when that has come", async () => {
  const [first, second] = [shown(), shown()];
  expect(first.model.sent.filter(({ type }) => type === "part")).toMatchObject([{ name: "sweep" }]);
  expect(second.model.sent.filter(({ type }) => type === "part")).toEqual([]);
  const part = module();
  supply("sweep", part);
  await vi.waitFor(() => expect(part.widget.render.mock.calls).toEqual([[first.props], [second.props]]));
  expect(part.widget.initialize.mock.calls).toEqual([[first.props], [second.props]]);
  expect([first.model.listeners, second.model.listeners]).toEqual([0, 0]); // nothing of the asking is left
});

it("that is gone before its code comes is not begun", async () => {
  shown();
  ending.abort();
  const part = module();
  supply("sweep", part);
  await Promise.resolve();
  expect(part.default).not.toHaveBeenCalled();
});
