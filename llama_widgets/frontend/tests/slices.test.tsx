import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Log } from "../src/chat/log";
import { ChatSession } from "../src/chat/session";
import type { ChatTraits, Turn } from "../src/messages";
import { show } from "../src/view";
import { MockModel, settled } from "./mocks";

const MANY = 200;
const conversation = (prefix: string, count = MANY): Turn[] =>
  Array.from({ length: count }, (_, at) => ({
    id: `${prefix}${at}`,
    role: at % 2 ? "assistant" : "user",
    content: `**${prefix}${at}**`,
  }));

let ending: AbortController;
let model: MockModel<ChatTraits>;
let el: HTMLElement;
/** What was in the page each time that something came or went. */
let moments: string[][];

const ids = () => [...el.querySelectorAll<HTMLElement>("[data-turn]")].map(({ dataset }) => dataset.turn ?? "");
const all = (turns: Turn[]) => turns.map(({ id }) => id);
const snapshot = (turns: Turn[], more = {}) =>
  model.receive({ type: "snapshot", request_id: "h", turns, running: "", seq: 0, ...more });
const drawn = (turns: Turn[]) => vi.waitFor(() => expect(ids()).toEqual(all(turns)), { timeout: 30_000 });

beforeEach(() => {
  ending = new AbortController();
  model = new MockModel<ChatTraits>({ running: "" });
  el = document.body.appendChild(document.createElement("div"));
  const session = new ChatSession(model.as, ending.signal);
  show(el, <Log session={session} hint="" />, ending.signal);
  moments = [];
  const observer = new MutationObserver(() => moments.push(ids()));
  observer.observe(el, { childList: true, subtree: true });
  ending.signal.addEventListener("abort", () => observer.disconnect());
});
afterEach(() => {
  ending.abort();
  document.body.replaceChildren();
});

/** The end came first, and what came later came before it, until all was there. */
function expectFromTheEnd(turns: Turn[]): void {
  const filled = moments.filter((there) => there.some((id) => id === turns.at(-1)?.id));
  expect(filled[0]?.length).toBeLessThan(turns.length / 2);
  for (const there of filled) expect(there).toEqual(all(turns).slice(-there.length));
  expect(filled.at(-1)).toEqual(all(turns));
}

it("a long conversation is drawn from its end to its beginning, and all of it", async () => {
  const turns = conversation("a");
  snapshot(turns);
  await drawn(turns);
  expectFromTheEnd(turns);
  expect([...el.querySelectorAll("strong")].length).toBe(MANY / 2);
});

it("another conversation begins with its end too, and so does the first when it is opened again", async () => {
  const [first, second] = [conversation("a"), conversation("b")];
  snapshot(first);
  await drawn(first);
  for (const turns of [second, first]) {
    moments = [];
    snapshot(turns);
    await drawn(turns);
    expectFromTheEnd(turns);
  }
});

it("a question that comes meanwhile is drawn at the end, and its answer grows", async () => {
  const turns = conversation("a");
  snapshot(turns);
  const question: Turn = { id: "q", role: "user", content: "Why?" };
  const answer: Turn = { id: "r", role: "assistant", content: "" };
  model.receive({ type: "turn", request_id: "g", turn: question });
  model.receive({ type: "turn", request_id: "g", turn: answer });
  model.receive({ type: "completion_chunk", request_id: "g", seq: 0, text: "Because" });
  await drawn([...turns, question, answer]);
  expect(el.querySelector('[data-turn="r"]')?.textContent).toBe("Because");
});

it("where a turn goes, the others stay on the page", async () => {
  const turns = conversation("a");
  snapshot(turns);
  await drawn(turns);
  moments = [];
  const rest = turns.toSpliced(5, 1);
  snapshot(rest);
  await drawn(rest);
  await settled();
  expect(moments.every((there) => there.length >= rest.length)).toBe(true);
});

describe("of a conversation whose end comes first", () => {
  const END = 40;
  const asked = () => model.sent.filter(({ type }) => type === "earlier");
  const end = (turns: Turn[]) => snapshot(turns.slice(-END), { earlier: turns.length - END });
  const answer = (turns: Turn[] | null) => {
    const request = asked().at(-1);
    model.receive({
      type: "earlier_turns",
      request_id: request?.request_id,
      turns: turns === null ? null : turns.slice(0, -END),
    });
  };

  it("the end is drawn, the rest asked for and put above it", async () => {
    const turns = conversation("a");
    end(turns);
    await drawn(turns.slice(-END));
    await vi.waitFor(() => expect(asked()).toHaveLength(1));
    expect(asked()[0]?.turn).toBe(turns.at(-END)?.id);
    answer(turns);
    await drawn(turns);
    expectFromTheEnd(turns);
    expect(asked()).toHaveLength(1);
  });

  it("what is drawn stays when the end comes again, and the rest is brought up to date", async () => {
    const turns = conversation("a");
    end(turns);
    await vi.waitFor(() => expect(asked()).toHaveLength(1));
    answer(turns);
    await drawn(turns);
    moments = [];
    const changed = turns.with(3, { ...(turns[3] as Turn), content: "**changed**" });
    end(changed);
    await vi.waitFor(() => expect(asked()).toHaveLength(2));
    answer(changed);
    await vi.waitFor(() => expect(el.querySelector('[data-turn="a3"] strong')?.textContent).toBe("changed"));
    expect(moments.every((there) => there.length === turns.length)).toBe(true);
  });

  it("an answer that comes too late is not taken", async () => {
    const [first, second] = [conversation("a"), conversation("b")];
    end(first);
    await vi.waitFor(() => expect(asked()).toHaveLength(1));
    snapshot(second);
    answer(first);
    await drawn(second);
  });

  it("a branch above the end is a reason to ask for the whole anew", async () => {
    const turns = conversation("a");
    end(turns);
    await vi.waitFor(() => expect(asked()).toHaveLength(1));
    const hellos = () => model.sent.filter(({ type }) => type === "hello").length;
    const before = hellos();
    model.receive({ type: "branched", request_id: "b", after: turns[20]?.id, turns: [] });
    expect(hellos()).toBe(before + 1);
    answer(null);
    await drawn(turns.slice(-END));
  });
});
