// A TokenView in the page: its messages, and all of it with the keyboard.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import tokens from "../src/tokens";
import { FROM_VIEW } from "../src/tokens/commands";
import { TO_VIEW, type TokenTraits } from "../src/tokens/messages";
import { INITIAL, type Line, reduce, tokensOf } from "../src/tokens/session";
import { share, visible } from "../src/tokens/words";
import { decode, type Table } from "../src/wire";
import { MockModel, settled } from "./mocks";

const golden = JSON.parse(readFileSync(join(__dirname, "../../../tests/golden/tokens.json"), "utf8"));
const { hello, abort, ...ownCommands } = FROM_VIEW;
const { error, info, ...ownEvents } = TO_VIEW;
const groups: [string, Table][] = [
  ["from_view", ownCommands],
  ["to_view", ownEvents],
];
describe.each(groups)("%s", (name, table) => {
  const messages: { type: string; request_id: string }[] = golden[name];
  it.each(messages)("$type $request_id is read as it was written", (message) => {
    expect(decode(message, table)).toEqual(message);
  });
  it("has a golden message of each type", () => {
    expect(new Set(messages.map(({ type }) => type))).toEqual(new Set(Object.keys(table)));
  });
});

const top = [
  { token: 1, text: " of", logprob: Math.log(0.38) },
  { token: 2, text: " sunlight", logprob: Math.log(0.22) },
  { token: 3, text: " molecules", logprob: Math.log(0.11) },
];
const ANSWER = {
  type: "line",
  request_id: "a",
  id: "a",
  title: "Answer",
  tokens: [
    { token: 9, text: "Because", logprob: null, rank: 0, top: [] },
    { token: 3, text: " molecules", logprob: Math.log(0.11), rank: 3, top },
    { token: 4, text: "\n", logprob: Math.log(0.9), rank: 1, top: [{ token: 4, text: "\n", logprob: Math.log(0.9) }] },
  ],
  parent: "",
  position: 0,
  n_vocab: 49_152,
  growing: false,
};
const BRANCH = {
  ...ANSWER,
  request_id: "b",
  id: "b",
  title: "Branch 1",
  tokens: [{ ...top[0], rank: 1, top }],
  parent: "a",
  position: 1,
  growing: true,
};
const STEPS = {
  type: "steps",
  request_id: "s",
  prompt: "The capital is",
  chat: false,
  ended: false,
  taken: [{ token: 5, text: " Paris" }],
  tokens: [1, 2],
  texts: [" and", "."],
  logprobs: [Math.log(0.6), Math.log(0.3)],
  tail: [[Math.log(0.01), 10]],
  temperature: 1,
  top_k: 0,
  top_p: 1,
  min_p: 0,
};

let model: MockModel<TokenTraits>;
let el: HTMLElement;
let ending: AbortController;

async function draw(tab: TokenTraits["tab"], ...messages: object[]): Promise<void> {
  model = new MockModel<TokenTraits>({ tab, busy: [], error: null, asked: "SmolLM2" });
  const widget = tokens();
  widget.initialize({ model: model.as, signal: ending.signal } as never);
  widget.render({ model: model.as, el, signal: ending.signal } as never);
  for (const message of messages) model.receive(message);
  await settled();
}
const all = (selector: string) => Array.from(el.querySelectorAll<HTMLElement>(selector));
const named = (name: string | RegExp) =>
  all("button, input, [role=option], [role=tab], select, textarea").find((each) =>
    ((label) => (typeof name === "string" ? label === name : name.test(label)))(
      each.getAttribute("aria-label") ?? each.textContent ?? "",
    ),
  ) as HTMLElement;
async function press(key: string): Promise<void> {
  document.activeElement?.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
  await settled();
}
async function click(element: HTMLElement): Promise<void> {
  element.click();
  await settled();
}

beforeEach(() => {
  ending = new AbortController();
  el = document.body.appendChild(document.createElement("div"));
});
afterEach(() => {
  ending.abort();
  el.remove();
});

describe("answers", () => {
  it("show each token with its probability, and not by colour alone", async () => {
    await draw("probabilities", ANSWER);
    expect(all("[role=option]").map((each) => each.ariaLabel ?? each.getAttribute("aria-label"))).toEqual([
      "Because the first token",
      "␣molecules 11.0 %, rank 3",
      "↵ 90.0 %, rank 1",
    ]);
    expect(all("[role=option]").map(({ dataset }) => dataset.p)).toEqual([undefined, "surprising", "likely"]);
  });

  it("are walked with the arrows, opened with Enter and branched with Enter again", async () => {
    await draw("probabilities", ANSWER);
    named(/Because/).focus();
    await press("ArrowRight");
    expect(document.activeElement).toBe(named(/molecules 11/));
    expect(el.textContent).toContain("rank 3 of 49,152 · 11.0 % · surprise 3.2 bits");
    await press("Enter");
    expect(document.activeElement).toBe(named("Continue with ␣of, 38.0 %"));
    await press("ArrowDown");
    expect(document.activeElement).toBe(named("Continue with ␣sunlight, 22.0 %"));
    await click(document.activeElement as HTMLElement);
    expect(model.last("branch")).toMatchObject({ line: "a", position: 1, token: 2 });
    expect(document.activeElement).toBe(named(/molecules 11/));
    await press("End");
    expect(document.activeElement).toBe(named(/↵ 90/));
    expect(all('[role=option][tabindex="0"]')).toHaveLength(1);
    await press("Home");
    expect(el.textContent).toContain("Nothing stands before the first token");
  });

  it("cannot be gone on with as they are", async () => {
    await draw("probabilities", ANSWER, { ...BRANCH, growing: false });
    await click(named(/of 38/));
    await press("Enter");
    expect(named("Chosen ␣of, 38.0 %")).toHaveProperty("disabled", true);
    expect(document.activeElement).toBe(named("Continue with ␣sunlight, 22.0 %"));
  });

  it("go back from the alternatives with Escape", async () => {
    await draw("probabilities", ANSWER);
    await click(named(/molecules 11/));
    named("Continue with ␣of, 38.0 %").focus();
    await press("Escape");
    expect(document.activeElement).toBe(named(/molecules 11/));
  });

  it("stand beside the answer that they left, grow and can be stopped", async () => {
    await draw("probabilities", ANSWER, BRANCH);
    model.receive({
      type: "grown",
      request_id: "b",
      line: "b",
      at: 1,
      tokens: [{ ...ANSWER.tokens[2], text: " all" }],
    });
    await settled();
    const texts = all("[role=listbox]").map((each) => each.textContent);
    expect(texts).toEqual(["Because molecules↵\n", "Because of all"]);
    await click(named("Stop"));
    expect(model.last("abort")).toMatchObject({ target: "b" });
    model.receive({ ...BRANCH, growing: false });
    await settled();
    expect(named("Stop")).toBeUndefined();
  });

  it("ask again when something did not arrive", async () => {
    await draw("probabilities", ANSWER, BRANCH);
    const before = model.sent.filter(({ type }) => type === "hello").length;
    model.receive({ type: "grown", request_id: "b", line: "b", at: 7, tokens: [] });
    expect(model.sent.filter(({ type }) => type === "hello")).toHaveLength(before + 1);
  });
});

it("what was told twice stands once", () => {
  const state = [ANSWER, BRANCH, ANSWER, BRANCH].reduce((now, each) => reduce(now, each as Line), INITIAL);
  expect(state.lines.map(({ id }) => id)).toEqual(["a", "b"]);
  const grown = { type: "grown", request_id: "b", line: "b", at: 1, tokens: [ANSWER.tokens[2]] } as never;
  const twice = reduce(reduce(state, grown), grown);
  expect(tokensOf(twice.lines, twice.lines[1] as Line).map(({ text }) => text)).toEqual(["Because", " of", "\n"]);
});

it("an answer that came to nothing is gone, and one without tokens is not offered", async () => {
  await draw("probabilities", ANSWER, BRANCH);
  model.receive({ type: "line_gone", request_id: "b", line: "b" });
  await settled();
  expect(all(".lw-answer")).toHaveLength(1);
  model.receive({ ...ANSWER, tokens: [] });
  await settled();
  expect(el.textContent).toContain("There are no tokens yet.");
});

describe("the next token", () => {
  it("follows the sliders at once, without asking the kernel", async () => {
    await draw("next", STEPS);
    expect(named("Take ␣and, 60.0 % before, 60.0 % after")).toBeDefined();
    expect(el.textContent).toContain("12 tokens can be drawn.");
    const before = model.sent.length;
    const slide = async (name: string, value: string) => {
      const label = all("label").find((each) => each.textContent === name) as HTMLLabelElement;
      const slider = label.control as HTMLInputElement;
      slider.value = value;
      slider.dispatchEvent(new Event("input", { bubbles: true }));
      await settled();
    };
    await slide("Temperature", "0");
    expect(named("Take ., 30.0 % before, not the likeliest")).toBeDefined();
    expect(el.textContent).toContain("Only one token can be drawn.");
    await slide("Temperature", "2");
    await slide("Top k", "2");
    expect(named("Take ., 30.0 % before, 41.4 % after")).toBeDefined();
    await slide("Min p", "0.6");
    expect(named("Take ., 30.0 % before, cut by min p")).toBeDefined();
    expect(model.sent).toHaveLength(before);
    await click(named("Draw one"));
    expect(model.last("draw")).toMatchObject({ temperature: 2, top_k: 2, top_p: 1, min_p: 0.6 });
  });

  it("is taken, and taken away again", async () => {
    await draw("next", STEPS);
    expect(el.querySelector('[aria-label="Text so far"]')?.textContent).toBe("The capital is Paris");
    await click(named(/^Take \./));
    expect(model.last("take")).toMatchObject({ token: 2 });
    await click(named("Undo"));
    expect(model.last("untake")).toBeDefined();
  });

  it("leaves the keyboard where it is, while the kernel is at work and after", async () => {
    await draw("next", STEPS);
    for (const name of ["Draw one", /^Take \./]) {
      const button = named(name);
      button.focus();
      await click(button);
      model.change({ busy: ["next"] });
      model.receive({ ...STEPS, tokens: [7, 8], texts: [" new", " other"] });
      await settled();
      model.change({ busy: [] });
      model.receive(STEPS);
      await settled();
      expect(document.activeElement).toBe(button);
    }
  });

  it("is none where the model has ended, which can be taken away", async () => {
    await draw("next", { ...STEPS, ended: true });
    expect(el.textContent).toContain("The model ends here");
    expect(named(/^Take /)).toBeUndefined();
    expect(named("Draw one").getAttribute("aria-disabled")).toBe("true");
    await click(named("Draw one"));
    expect(model.last("draw")).toBeUndefined();
    await click(named("Undo"));
    expect(model.last("untake")).toBeDefined();
    model.receive(STEPS);
    await settled();
    await click(named("Draw one"));
    expect(model.last("draw")).toBeDefined();
  });
});

it("tabs are walked with the arrows, and each asks for what it shows", async () => {
  await draw("probabilities", ANSWER);
  named("Probabilities").focus();
  await press("ArrowRight");
  expect(document.activeElement).toBe(named("Next token"));
  expect(model.last("show_tab")).toMatchObject({ tab: "next" });
  await press("Home");
  await press("ArrowLeft");
  expect(document.activeElement).toBe(named("Context"));
  expect(all('[role=tab][tabindex="0"]')).toHaveLength(1);
});

it("text becomes ids, and ids text", async () => {
  const side = { model: "a.gguf", pieces: [{ id: 5, text: " ab", special: false }], error: "" };
  const told = {
    type: "tokenized",
    request_id: "k",
    text: " ab",
    models: [{ model: "a.gguf", name: "A" }],
    sides: [side],
  };
  await draw("tokenizer", told);
  expect(el.textContent).toContain("1 token · 3 characters");
  const ids = all("input")[0] as HTMLInputElement;
  expect(ids.value).toBe("5");
  ids.value = "5 6";
  ids.dispatchEvent(new Event("input", { bubbles: true }));
  expect(model.last("detokenize")).toMatchObject({ ids: [5, 6], models: ["a.gguf"] });
  ids.value = "5 x";
  ids.dispatchEvent(new Event("input", { bubbles: true }));
  await settled();
  expect(el.textContent).toContain("x is no id");
  expect(ids.getAttribute("aria-invalid")).toBe("true");
  model.receive({ ...told, text: "new", sides: [side, { ...side, pieces: [], error: "There is no such file." }] });
  await settled();
  expect(el.textContent).toContain("There is no such file.");
});

it("the template and the context say what the model reads", async () => {
  await draw(
    "template",
    golden.to_view.find(({ type }: { type: string }) => type === "template"),
  );
  expect(el.querySelector('[aria-label="What the model reads"]')?.textContent).toBe("<|im_start|>Why?");
  model.receive(golden.to_view.find(({ type }: { type: string }) => type === "context"));
  await click(named("Context"));
  expect(el.textContent).toContain("12 of 512 tokens");
  expect(el.textContent).toContain("1 message left out");
});

it("figures and signs are what people read", () => {
  expect([1, 0.9999, 0.114, 0.0071, 0.00001, 0].map(share)).toEqual([
    "100 %",
    "99.99 %",
    "11.4 %",
    "0.71 %",
    "under 0.01 %",
    "0 %",
  ]);
  expect(visible(" a\n\tb")).toBe("␣a↵⇥b");
});
