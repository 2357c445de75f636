// A comparison in the page: side by side, voted on by mouse and keyboard, and nothing lost on the way.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import compare from "../src/compare";
import { OWN_FROM_VIEW, OWN_TO_VIEW } from "../src/compare/messages";
import { decode, type Table } from "../src/wire";
import { MockModel, settled } from "./mocks";

const golden = JSON.parse(readFileSync(join(__dirname, "../../../tests/golden/compare.json"), "utf8"));
const groups: [string, Table][] = [
  ["from_view", OWN_FROM_VIEW],
  ["to_view", OWN_TO_VIEW],
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

let ending: AbortController;
let model: MockModel;
let el: HTMLElement;

const EMPTY = {
  text: "",
  thoughts: "",
  stop_reason: "",
  state: "waiting",
  done: 0,
  total: null,
  usage: null,
  timings: null,
  error: "",
};
const said = (text: string, more = {}) => ({ ...EMPTY, text, state: "done", stop_reason: "eos", ...more });
const round = (answers: object[], more = {}) => ({
  message: "Why?",
  names: ["cold", "warm"],
  vote: null,
  blind: false,
  answers,
  ...more,
});
const tally = (wins: number) => [
  { side: "cold", wins, ties: 0, losses: 0, rate: wins ? 1 : null },
  { side: "warm", wins: 0, ties: 0, losses: wins, rate: wins ? 0 : null },
];
const told = (number: number, of: object, { id = "q", running = "", wins = 0, seq = 0 } = {}) => ({
  type: "round",
  request_id: id,
  number,
  round: of,
  tally: tally(wins),
  running,
  seq,
});
const grown = (seq: number, place: number, text: string, more = {}) => ({
  type: "grown",
  request_id: "q",
  seq,
  answers: [{ place, text, thoughts: "", state: "generating", done: 0, total: null, ...more }],
});

const receive = async (...messages: object[]) => {
  for (const message of messages) model.receive(message);
  await settled();
};
const box = () => el.querySelector('[aria-label="Message"]') as HTMLTextAreaElement;
const group = (name: string) => el.querySelector(`[role=group][aria-label="${name}"]`) as HTMLElement;
const button = (name: string) =>
  [...el.querySelectorAll("button")].find((each) =>
    (each.getAttribute("aria-label") ?? each.textContent)?.startsWith(name),
  );
const status = () => el.querySelector('[role="status"]')?.textContent;
async function press(key: string, target: Element = group("Answers")): Promise<KeyboardEvent> {
  const event = new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true });
  target.dispatchEvent(event);
  await settled();
  return event;
}
async function ask(text = "Why?"): Promise<string> {
  box().focus();
  box().value = text;
  box().dispatchEvent(new Event("input", { bubbles: true }));
  await press("Enter", box());
  return String(model.last("ask")?.request_id);
}

beforeEach(async () => {
  ending = new AbortController();
  model = new MockModel({ error: null, _bundle: "IPY_MODEL_x" });
  const widget = compare();
  widget.initialize({ model: model.as, signal: ending.signal } as never);
  el = document.body.appendChild(document.createElement("div"));
  widget.render({ model: model.as, el, signal: ending.signal } as never);
  await receive({ type: "compared", request_id: String(model.last("hello")?.request_id), tally: tally(0) });
});
afterEach(() => {
  ending.abort();
  el.remove();
});

it("says who is asked before there is anything to read", () => {
  expect([...el.querySelectorAll("li")].map(({ textContent }) => textContent)).toEqual(["cold", "warm"]);
});

it("asks once, shows the answers as they grow, and empties the box", async () => {
  const id = await ask();
  expect(model.last("ask")).toMatchObject({ text: "Why?" });
  expect(status()).toBe("Sending…");
  expect(document.activeElement).toBe(group("Answers"));
  await receive(told(0, round([EMPTY, EMPTY]), { id, running: id }), grown(0, 0, "Be"), grown(1, 1, "Or"));
  await receive(grown(2, 0, "cause **so**"));
  expect(box().value).toBe("");
  expect(group("Answer A").querySelector(".lw-markdown")?.innerHTML).toContain("Because <strong>so</strong>");
  expect(group("Answer B").querySelector(".lw-markdown")?.textContent).toBe("Or");
  expect(status()).toBe("Answering · 0 of 2 done");
  expect(group("Vote")).toBeNull();
  await receive(told(0, round([said("Because **so**."), said("Or not.")]), { id }));
  expect(status()).toBe("Which is better? Keys 1 to 2, T for a tie");
  expect(group("Answer A").textContent).toContain("cold");
});

it("tells how far a load and a prompt are, and what went wrong with one side", async () => {
  const loading = { ...EMPTY, state: "loading", done: 250, total: 1000 };
  await receive(told(0, round([loading, { ...EMPTY, state: "prefill", done: 512, total: 2048 }]), { running: "q" }));
  expect(group("Answer A").textContent).toContain("Loading model · 25 %");
  expect(group("Answer B").querySelector("[role=progressbar]")?.getAttribute("aria-valuenow")).toBe("25");
  const failed = { ...EMPTY, state: "failed", stop_reason: "error", error: "There is no file b.gguf." };
  await receive(told(0, round([said("Yes."), failed])));
  expect(group("Answer B").textContent).toContain("There is no file b.gguf.");
  expect(group("Vote")).not.toBeNull();
});

it("takes votes by keyboard and by mouse, and the keyboard goes on in the box", async () => {
  await receive(told(0, round([said("Yes."), said("No.")])));
  group("Answers").focus();
  expect((await press("3")).defaultPrevented).toBe(false);
  expect(model.last("judge")).toBeUndefined();
  expect((await press("2")).defaultPrevented).toBe(true); // else it would be written into the box
  expect(model.last("judge")).toMatchObject({ round: 0, vote: 1 });
  expect(document.activeElement).toBe(box());
  await press("1", box());
  expect(model.sent.filter(({ type }) => type === "judge")).toHaveLength(1);
  await press("T");
  expect(model.last("judge")).toMatchObject({ vote: "tie" });
  button("A is better")?.click();
  expect(model.last("judge")).toMatchObject({ vote: 0 });
  await receive(told(0, round([said("Yes."), said("No.")], { vote: 0 }), { wins: 1 }));
  expect(button("A is better")?.getAttribute("aria-pressed")).toBe("true");
  expect(group("Answer A").textContent).toContain("better");
  expect(el.querySelector("table")?.textContent).toContain("100 %");
});

it("hides names in a blind round, and its vote is final", async () => {
  button("Blind")?.click();
  expect(model.last("hide_names")).toMatchObject({ blind: true });
  await receive({ type: "blind", request_id: "n", blind: true });
  const blind = { blind: true, names: [] };
  await receive(told(0, round([said("Yes."), said("No.")], blind)));
  expect(button("Blind")?.getAttribute("aria-pressed")).toBe("true");
  expect(group("Answers").textContent).not.toContain("cold");
  await press("1");
  await receive(told(0, round([said("Yes."), said("No.")], { blind: true, names: ["warm", "cold"], vote: 0 })));
  expect(group("Answer A").textContent).toContain("warm");
  await press("2");
  button("B is better")?.click();
  expect(model.sent.filter(({ type }) => type === "judge")).toHaveLength(1);
});

it("goes through the rounds, and to the new one when something is asked", async () => {
  await receive(told(0, round([said("One."), said("Eins.")])));
  await receive(told(1, round([said("Two."), said("Zwei.")], { message: "And?" }), { id: "r" }));
  expect(group("Rounds").textContent).toContain("Round 2 of 2");
  button("Earlier round")?.click();
  await settled();
  expect(group("Answer A").querySelector(".lw-markdown")?.textContent).toBe("One.");
  await press("2");
  expect(model.last("judge")).toMatchObject({ round: 0, vote: 1 });
  const id = await ask("More");
  await receive(told(2, round([EMPTY, EMPTY], { message: "More" }), { id, running: id }));
  expect(group("Rounds").textContent).toContain("Round 3 of 3");
});

it("Escape stops all, and a stop that got lost is sent again", async () => {
  const id = await ask();
  await receive(told(0, round([EMPTY, EMPTY]), { id, running: id }));
  await press("Escape");
  expect(model.last("abort")).toMatchObject({ target: id });
  expect(status()).toBe("Stopping…");
  await receive(told(0, round([said("", { stop_reason: "abort" }), said("")]), { id }));
  expect(button("Send")).toBeDefined();
});

it("a message that is refused or that nobody could answer stands in the box", async () => {
  const first = await ask();
  await receive({ type: "error", request_id: first, code: "busy", message: "cold is still answering.", hint: "Wait." });
  expect(box().value).toBe("Why?");
  expect(document.activeElement).toBe(box());
  expect(el.querySelector("[role=alert]")?.textContent).toBe("cold is still answering. Wait.");
  const id = await ask();
  await receive(told(0, round([EMPTY, EMPTY]), { id, running: id }));
  expect(box().value).toBe("");
  await receive({ type: "withdrawn", request_id: id, number: 0, text: "Why?" });
  expect(box().value).toBe("Why?");
  expect(group("Answer A")).toBeNull();
});

it("asks for all of it where a piece is missing", async () => {
  await receive(told(0, round([EMPTY, EMPTY]), { running: "q" }), grown(0, 0, "a"));
  const hellos = model.sent.filter(({ type }) => type === "hello").length;
  await receive(grown(2, 0, "c"), grown(3, 0, "d"));
  expect(model.sent.filter(({ type }) => type === "hello")).toHaveLength(hellos + 1);
  const whole = round([{ ...EMPTY, state: "generating", text: "abcd" }, EMPTY]);
  await receive({ type: "compared", request_id: "h", rounds: [whole], tally: tally(0), running: "q", seq: 4 });
  await receive(grown(3, 0, "d"), grown(4, 0, "e"));
  expect(group("Answer A").querySelector(".lw-markdown")?.textContent).toBe("abcde");
});

it("does not look as if it went on where its kernel is gone", async () => {
  await receive(told(0, round([said("Yes."), { ...EMPTY, state: "generating", text: "No" }]), { running: "q" }));
  model.disconnect();
  await settled();
  expect(el.querySelector(".lw-growing")).toBeNull();
  expect(group("Answer A").textContent).not.toContain("stopped");
  expect(group("Answer B").textContent).toContain("stopped");
});

it("says so when its kernel is gone, and leaves nothing behind", async () => {
  await receive(told(0, round([said("Yes."), said("No.")])));
  model.disconnect();
  await settled();
  expect(status()).toContain("The kernel was restarted or is gone");
  await press("1");
  expect(model.last("judge")).toBeUndefined();
  ending.abort();
  await settled();
  expect(model.listeners).toBe(0);
});
