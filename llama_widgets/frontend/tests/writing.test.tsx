// The message box: variables, files, drafts, earlier questions; and code that goes into the notebook.

import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import chat from "../src/chat";
import { Refusal, readFiles } from "../src/chat/attach";
import type { ChatTraits } from "../src/messages";
import { MockModel, settled } from "./mocks";

const TRAITS: Partial<ChatTraits> = {
  model: "m.gguf",
  state: "ready",
  loaded: null,
  progress: null,
  error: null,
  notices: [],
  running: "",
  height: "",
  selector: "IPY_MODEL_child",
  conversations: [],
};

let ending: AbortController;
let model: MockModel<ChatTraits>;
let el: HTMLElement;

async function draw(manager: Record<string, unknown> = {}): Promise<void> {
  model = new MockModel(TRAITS, { manager: { get_model: async () => new MockModel().as, ...manager } });
  const widget = chat();
  widget.initialize({ model: model.as, signal: ending.signal } as never);
  el = document.body.appendChild(document.createElement("div"));
  widget.render({ model: model.as, el, signal: ending.signal } as never);
  await settled();
}

const box = () => el.querySelector<HTMLTextAreaElement>('[aria-label="Message"]') as HTMLTextAreaElement;
const names = () => [...el.querySelectorAll('[role="option"]')].map(({ textContent }) => textContent);
const chosen = () => el.querySelector('[role="option"][aria-selected="true"]')?.textContent;
const along = () => [...el.querySelectorAll('[aria-label="Goes along"] > li')].map(({ textContent }) => textContent);
const sent = (type: string) => model.sent.filter((message) => message.type === type);

async function type(text: string): Promise<void> {
  box().value = text;
  box().setSelectionRange(text.length, text.length);
  box().dispatchEvent(new Event("input", { bubbles: true }));
  await settled();
}

async function press(key: string): Promise<KeyboardEvent> {
  const event = new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true });
  box().dispatchEvent(event);
  await settled();
  return event;
}

async function receive(message: object): Promise<void> {
  model.receive(message);
  await settled();
}

async function offer(start: number, ...found: string[]): Promise<void> {
  await receive({ type: "completions", request_id: model.last("complete")?.request_id, start, names: found });
}

async function drop(...files: File[]): Promise<Event> {
  const event = new Event("drop", { bubbles: true, cancelable: true });
  Object.assign(event, { dataTransfer: { files, types: ["Files"] } });
  box().dispatchEvent(event);
  await settled();
  return event;
}

const question = (id: string, content: string, more = {}) => ({
  type: "turn",
  request_id: "other",
  turn: { id, role: "user", content, ...more },
});

beforeEach(() => {
  ending = new AbortController();
});
afterEach(async () => {
  await settled(); // effects that are due need the page
  ending.abort();
  document.body.replaceChildren();
});

describe("variables", () => {
  it("are offered behind a brace and taken with Enter, which sends nothing then", async () => {
    await draw();
    await type("What of {d");
    expect(model.last("complete")).toMatchObject({ source: "d" });
    await offer(0, "data", "df");
    expect(names()).toEqual(["data", "df"]);
    expect(chosen()).toBe("data");
    expect((await press("ArrowDown")).defaultPrevented).toBe(true);
    expect(chosen()).toBe("df");
    expect(el.querySelector(`#${box().getAttribute("aria-activedescendant")}`)?.textContent).toBe("df");
    await press("ArrowDown");
    expect(chosen()).toBe("data");
    await press("ArrowUp");
    await press("Enter");
    expect(box().value).toBe("What of {df");
    expect(names()).toEqual([]);
    expect(sent("ask")).toEqual([]);
  });

  it("have attributes, which take the place of what was typed of them", async () => {
    await draw();
    await type("{df.des");
    await offer(3, "describe");
    await press("Tab");
    expect(box().value).toBe("{df.describe");
  });

  it.each(["Escape", "blur", "late"])("are not offered any more after %s", async (how) => {
    await draw();
    await type("{d");
    if (how === "late") {
      const { request_id } = model.last("complete") as { request_id: string };
      await type("{d}");
      await receive({ type: "completions", request_id, start: 0, names: ["df"] });
    } else {
      await offer(0, "df");
      expect(names()).toEqual(["df"]);
      if (how === "blur") box().dispatchEvent(new Event("blur"));
      else expect((await press("Escape")).defaultPrevented).toBe(true);
      await settled();
    }
    expect(names()).toEqual([]);
  });

  it.each(["\\frac{a", "x{a", "${a", "{{a", "{ a", "{a}", "{a\nb", "a"])("are not looked for in %j", async (text) => {
    await draw();
    await type(text);
    expect(sent("complete")).toEqual([]);
  });

  it("are previewed with their tokens, and what calls something only when asked to", async () => {
    await draw();
    await type("{df} {f()} {no}");
    await vi.waitFor(() => expect(model.last("preview")).toMatchObject({ text: "{df} {f()} {no}", run: false }));
    const insert = { kind: "value", text: null, tokens: null, error: "" };
    const inserts = [
      { ...insert, source: "df", text: "| a |", tokens: 412 },
      { ...insert, source: "f()" },
      { ...insert, source: "no", error: "There is no 'no'." },
    ];
    await receive({ type: "previewed", request_id: model.last("preview")?.request_id, inserts });
    expect(along()).toEqual(["{df} · 412 tokens| a |", "{f()} · Preview", "There is no 'no'."]);
    el.querySelector<HTMLButtonElement>('[aria-label="Goes along"] button')?.click();
    expect(model.last("preview")).toMatchObject({ text: "{df} {f()} {no}", run: true });
    await type("nothing of that");
    expect(along()).toEqual([]);
  });
});

describe("files", () => {
  it("are dropped, counted, sent, and come back with a question that could not be answered", async () => {
    await draw();
    expect((await drop(new File(["a,b\n"], "a.csv"))).defaultPrevented).toBe(true);
    await vi.waitFor(() => expect(along()).toEqual(["a.csv4 B✕"]));
    const files = [{ name: "a.csv", text: "a,b\n" }];
    expect(model.last("preview")).toMatchObject({ files });
    const insert = { source: "a.csv", kind: "file", text: "", tokens: 7, error: "" };
    await receive({ type: "previewed", request_id: model.last("preview")?.request_id, inserts: [insert] });
    expect(along()).toEqual(["a.csv4 B · 7 tokens✕"]);
    await type("Sum up.");
    await press("Enter");
    const request_id = model.last("ask")?.request_id;
    expect(model.last("ask")).toEqual({ type: "ask", request_id, text: "Sum up.", files });
    await receive({ ...question("q", "Sum up. …"), request_id });
    expect([box().value, along()]).toEqual(["", []]);
    await receive({ type: "rejected", request_id, text: "Sum up.", turn: "q" });
    expect(box().value).toBe("Sum up.");
    expect(along()).toEqual(["a.csv4 B✕"]);
    el.querySelector<HTMLButtonElement>('[aria-label="Remove a.csv"]')?.click();
    await settled();
    expect(along()).toEqual([]);
  });

  it("that are refused say why", async () => {
    await draw();
    await drop(new File([], "cat.png", { type: "image/png" }));
    await vi.waitFor(() => expect(el.querySelector('[role="alert"]')?.textContent).toContain("takes text only"));
    await drop(new File(["fine"], "a.txt"));
    await vi.waitFor(() => expect(el.querySelector('[role="alert"]')).toBeNull());
  });

  it.each([
    ["a picture", new File(["x"], "a.png", { type: "image/png" }), "this model takes text only"],
    ["binary", new File(["a\0b"], "a.bin"), "a.bin is not a text file"],
    ["not UTF-8", new File([Uint8Array.from([0x63, 0xe9])], "a.txt"), "a.txt is not a text file"],
    ["too large", new File(["a".repeat(1_000_001)], "a.txt"), "a.txt is too large: it has 1.00 MB"],
  ])("are refused: %s", async (_why, file, words) => {
    const refusal = await readFiles([file]).catch((error) => error);
    expect(refusal).toBeInstanceOf(Refusal);
    expect(refusal.failure.message).toContain(words);
    expect(refusal.failure.hint).not.toBe("");
  });

  it("are read without their byte order mark", async () => {
    expect(await readFiles([new File(["\ufeffא,b"], "a.csv")])).toEqual([{ name: "a.csv", text: "א,b" }]);
  });
});

describe("a draft", () => {
  it("is told to the kernel, files only when they are others", async () => {
    await draw();
    await type("Half");
    await type("Half a");
    await vi.waitFor(() => expect(model.last("draft")).toMatchObject({ text: "Half a", files: null }));
    expect(sent("draft")).toHaveLength(1);
    await drop(new File(["x"], "a.txt"));
    const files = [{ name: "a.txt", text: "x" }];
    await vi.waitFor(() => expect(model.last("draft")).toMatchObject({ text: "Half a", files }));
  });

  it("that was kept comes into an empty box, and is not told again", async () => {
    await draw();
    await receive({ type: "draft", request_id: "h", text: "Half a", files: [{ name: "a.txt", text: "x" }] });
    expect([box().value, along()]).toEqual(["Half a", ["a.txt1 B✕"]]);
    await type("Half an hour");
    await receive({ type: "draft", request_id: "h", text: "Half a", files: [] });
    expect(box().value).toBe("Half an hour");
    await vi.waitFor(() => expect(sent("draft")).toHaveLength(1));
    expect(model.last("draft")).toMatchObject({ text: "Half an hour", files: null });
  });

  it("is told at once when the page goes", async () => {
    await draw();
    box().value = "Half a";
    box().dispatchEvent(new Event("input", { bubbles: true }));
    window.dispatchEvent(new Event("pagehide"));
    expect(model.last("draft")).toMatchObject({ text: "Half a" });
  });
});

describe("earlier questions", () => {
  it("come back with the arrows as they were typed, and what was edited stays", async () => {
    await draw();
    await receive(question("q1", "first 91", { typed: "first {x}" }));
    await receive(question("q2", "second"));
    await receive(question("q3", "an imported {secret}"));
    const seen = [];
    for (const key of ["ArrowUp", "ArrowUp", "ArrowUp", "ArrowDown", "ArrowDown", "ArrowDown", "ArrowUp"]) {
      await press(key);
      seen.push(box().value);
    }
    expect(seen).toEqual(["second", "first {x}", "first {x}", "second", "", "", "second"]);
    await type("second thoughts");
    expect((await press("ArrowUp")).defaultPrevented).toBe(false);
    expect(box().value).toBe("second thoughts");
  });
});

describe("a question that was filled", () => {
  it("shows what was put in folded, counted as Python counts", async () => {
    await draw();
    const inserts = [
      { source: "df", start: 6, end: 11, kind: "value", tokens: 412 },
      { source: "a.csv", start: 19, end: 23, kind: "file", tokens: null },
    ];
    await receive(question("q", "🦙 of\n\n| a |\n\nWhy?\n\nfile", { typed: "🦙 of {df} Why?", inserts }));
    const said = el.querySelector(".lw-said");
    expect(said?.textContent).toBe("🦙 of {df} · 412 tokens of data Why?\na.csv · 4 characters of data");
    const [value] = said?.querySelectorAll("button") ?? [];
    value?.click();
    await settled();
    expect(value?.getAttribute("aria-expanded")).toBe("true");
    expect(said?.querySelector("pre")?.textContent).toBe("| a |");
  });
});

describe("code", () => {
  const ANSWER = "```python\nx = 1\n```\n\n```sql\nselect 1\n```\n";
  const answer = {
    type: "turn",
    request_id: "other",
    turn: { id: "a", role: "assistant", content: ANSWER, stop_reason: "eos" },
  };
  const inserts = () => [...el.querySelectorAll<HTMLButtonElement>(".lw-insert-code")];

  it("goes below the cell that shows the panel, where the front end knows the notebook", async () => {
    const insertCell = vi.fn();
    const widget = { "application/vnd.jupyter.widget-view+json": { model_id: "model-1" } };
    const cells = [{}, { getOutputs: () => [{}, { data: widget }] }, { getOutputs: () => [] }];
    await draw({ context: { model: { sharedModel: { cells, insertCell } } } });
    await receive(answer);
    expect(inserts()).toHaveLength(1);
    inserts()[0]?.click();
    await settled();
    expect(insertCell).toHaveBeenCalledExactlyOnceWith(2, { cell_type: "code", source: "x = 1", metadata: {} });
    expect(inserts()[0]?.textContent).toBe("Inserted");
  });

  it("is copied elsewhere, with a hint", async () => {
    const writeText = vi.fn(async () => {});
    vi.stubGlobal("navigator", { clipboard: { writeText } });
    await draw();
    await receive(answer);
    inserts()[0]?.click();
    await settled();
    expect(writeText).toHaveBeenCalledExactlyOnceWith("x = 1");
    expect(inserts()[0]?.textContent).toBe("Copied: paste it into a new cell");
    vi.unstubAllGlobals();
  });

  it("that makes an answer again comes from the kernel", async () => {
    const insertCell = vi.fn();
    await draw({ context: { model: { sharedModel: { cells: [{}], insertCell } } } });
    await receive(answer);
    const insert = el.querySelector<HTMLButtonElement>('[aria-label="Insert as cell"]');
    insert?.click();
    await settled();
    const { request_id } = model.last("to_code") ?? {};
    await receive({ type: "code", request_id, text: "import llama_widgets as lw\n" });
    await settled();
    const cell = { cell_type: "code", source: "import llama_widgets as lw\n", metadata: {} };
    expect(insertCell).toHaveBeenCalledExactlyOnceWith(1, cell);
    expect(insert?.textContent).toBe("Inserted");
    expect(insert?.getAttribute("aria-label")).toBe("Insert as cell");
  });
});
