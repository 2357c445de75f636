import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import chat from "../src/chat";
import type { ChatTraits, SelectorTraits } from "../src/messages";
import { type MockComm, MockKernel, MockModel, settled } from "./mocks";

const LOADED = { name: "Qwen3-4B", path: "/c/q.gguf", quantisation: "Q4_K_M", n_ctx: 8192, memory: 2_500_000_000 };
const TRAITS: ChatTraits = {
  model: "hf:u/r",
  state: "ready",
  loaded: LOADED,
  progress: null,
  error: null,
  notices: [],
  running: "",
  stale: false,
  height: "",
  selector: "IPY_MODEL_child",
  conversations: [{ id: "c1", name: "New conversation", current: true }],
  can_undo: false,
};

const child = () =>
  new MockModel<SelectorTraits>(
    {
      value: "",
      models: [
        { model: "/m/s.gguf", name: "Smol", quantisation: "Q4_1", size: 1, source: "demo", path: "/m/s.gguf", used: 0 },
      ],
      loaded: "",
      loading: null,
      downloads: [],
      error: null,
      notices: [],
      folder: "",
      fits: {},
      free: 0,
      leftovers: {},
    },
    { id: "child" },
  );

let ending: AbortController;
let model: MockModel<ChatTraits>;
let selector: MockModel<SelectorTraits>;
let widget: ReturnType<typeof chat>;
let el: HTMLElement;

async function view(): Promise<HTMLElement> {
  const place = document.body.appendChild(document.createElement("div"));
  widget.render({ model: model.as, el: place, signal: ending.signal } as never);
  await settled();
  return place;
}

async function draw(traits: Partial<ChatTraits> = {}, manager: Record<string, unknown> = {}): Promise<void> {
  selector = child();
  model = new MockModel({ ...TRAITS, ...traits }, { manager: { get_model: async () => selector.as, ...manager } });
  widget = chat();
  widget.initialize({ model: model.as, signal: ending.signal } as never);
  el = await view();
}

const box = (within = el) => within.querySelector<HTMLTextAreaElement>('[aria-label="Message"]') as HTMLTextAreaElement;
const button = (name: string, within = el) =>
  [...within.querySelectorAll("button")].find((each) => (each.getAttribute("aria-label") ?? each.textContent) === name);
async function pick(item: string): Promise<void> {
  button("More")?.click();
  await settled();
  button(item)?.click();
  await settled();
}
const status = () => el.querySelector('[role="status"]')?.textContent;
/** What the turns say, without their buttons. */
const turns = (within = el) =>
  [...within.querySelectorAll("[data-turn]")].map((each) => {
    const copy = each.cloneNode(true) as HTMLElement;
    for (const actions of copy.querySelectorAll(".lw-actions")) actions.remove();
    return copy.textContent;
  });
const receive = async (...messages: object[]) => {
  for (const message of messages) model.receive(message);
  await settled();
};
const turn = (request_id: string, id: string, role: string, content: string, more = {}) => ({
  type: "turn",
  request_id,
  turn: { id, role, content, ...more },
});
const chunk = (request_id: string, seq: number, text: string) => ({
  type: "completion_chunk",
  request_id,
  seq,
  text,
  tokens: seq,
});

async function type(text: string): Promise<void> {
  box().value = text;
  box().dispatchEvent(new Event("input", { bubbles: true }));
  await settled();
}

async function press(key: string, more: KeyboardEventInit = {}, target: Element = box()): Promise<KeyboardEvent> {
  const event = new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true, ...more });
  target.dispatchEvent(event);
  await settled();
  return event;
}

/** Asks "Why?" and returns the request's id, with the answer about to begin. */
async function ask(text = "Why?"): Promise<string> {
  await type(text);
  await press("Enter");
  const id = String(model.last("ask")?.request_id);
  await receive(turn(id, `q${id}`, "user", text), turn(id, `a${id}`, "assistant", ""));
  return id;
}

beforeEach(() => {
  ending = new AbortController();
});
afterEach(() => {
  ending.abort();
  document.body.replaceChildren();
  vi.useRealTimers();
});

describe("a conversation", () => {
  it("says hello, shows the snapshot and goes on with the answer in flight", async () => {
    await draw({ state: "generating" });
    expect(model.sent[0]).toEqual({ type: "hello", request_id: expect.any(String) });
    await receive({
      type: "snapshot",
      request_id: "h",
      turns: [
        { id: "1", role: "user", content: "Why?" },
        { id: "2", role: "assistant", content: "Be" },
      ],
      running: "r",
      seq: 1,
    });
    await receive(chunk("r", 1, "**cause**"));
    expect(turns()).toEqual(["Why?", "Because"]);
    expect(el.querySelector("strong")?.textContent).toBe("cause");
    expect(button("Stop")).toBeDefined();
  });

  it("asks with Enter, empties the box with the echo, streams, settles and shows what it cost", async () => {
    await draw();
    await type("Why?");
    expect((await press("Enter")).defaultPrevented).toBe(true);
    const asked = model.last("ask");
    expect(asked).toEqual({ type: "ask", request_id: expect.any(String), text: "Why?" });
    expect(box().value).toBe("Why?");
    const id = String(asked?.request_id);
    await receive(turn(id, "q", "user", "Why?"), turn(id, "a", "assistant", ""));
    expect(box().value).toBe("");
    await receive(chunk(id, 0, "Be"), chunk(id, 1, "cause"));
    expect(turns()).toEqual(["Why?", "Because"]);
    const made = {
      stop_reason: "abort",
      usage: { prompt_tokens: 10, cached_tokens: 4, completion_tokens: 2 },
      timings: { ttft_s: 0.3, prefill_tps: 1, decode_tps: 40 },
    };
    await receive(
      { type: "completion_done", request_id: id, text: "", ...made },
      turn(id, "a", "assistant", "Because.", made),
    );
    expect(turns()[1]).toBe("Because.40 tokens/s · first token 0.30 s · 2 tokens · 4 of 10 reused · stopped");
    expect(button("Send")).toBeDefined();
    expect(el.querySelector('[role="meter"]')?.getAttribute("aria-valuenow")).toBe("12");
  });

  it("asked from Python or from another page shows up as well", async () => {
    await draw();
    await type("my own");
    await receive(turn("py", "q", "user", "From a cell"), turn("py", "a", "assistant", ""), chunk("py", 0, "Yes"));
    expect(turns()).toEqual(["From a cell", "Yes"]);
    expect(box().value).toBe("my own");
  });

  it("is the same in two views, and so is the box", async () => {
    await draw();
    const second = await view();
    const id = await ask();
    await receive(chunk(id, 0, "Both"));
    expect(turns(second)).toEqual(["Why?", "Both"]);
    await type("next");
    expect(box(second).value).toBe("next");
    expect(model.sent.filter(({ type: kind }) => kind === "hello")).toHaveLength(1);
  });

  it("does not draw the settled turns again for a token", async () => {
    await draw();
    const id = await ask();
    const question = el.querySelector("[data-turn]");
    const seen = vi.fn();
    const observer = new MutationObserver(seen);
    observer.observe(question as Element, { subtree: true, childList: true, attributes: true, characterData: true });
    await receive(chunk(id, 0, "a"), chunk(id, 1, "b"));
    expect(el.querySelector("[data-turn]")).toBe(question);
    expect(seen).not.toHaveBeenCalled();
    observer.disconnect();
  });

  it("asks for the whole when a chunk is missing, once", async () => {
    await draw();
    const id = await ask();
    await receive(chunk(id, 0, "a"), chunk(id, 2, "c"), chunk(id, 3, "d"));
    expect(model.sent.filter(({ type: kind }) => kind === "hello")).toHaveLength(2);
  });

  it("is cleared by the kernel, not by the button", async () => {
    await draw();
    await receive({ type: "snapshot", request_id: "h", turns: [{ id: "1", role: "user", content: "Why?" }] });
    await pick("Clear");
    expect(model.last("clear")).toBeDefined();
    expect(turns()).toEqual(["Why?"]);
    await receive({ type: "snapshot", request_id: "" });
    expect(turns()).toEqual([]);
  });

  it("survives nonsense", async () => {
    const warn = vi.spyOn(console, "warn").mockImplementation(() => {});
    await draw();
    await receive({ type: "shout" }, null as never, { type: "turn", request_id: "x", turn: 7 });
    expect(warn).toHaveBeenCalledTimes(3);
    await ask();
    expect(turns()[0]).toBe("Why?");
  });
});

describe("beside the text", () => {
  const thought = (request_id: string, seq: number, text: string) => ({
    ...chunk(request_id, seq, text),
    segment: "thought",
  });

  it("thoughts are folded, while they grow and after, with how long they took", async () => {
    await draw();
    const id = await ask();
    expect(el.querySelector<HTMLElement>("details.lw-thought")?.hidden).toBe(true);
    await receive(thought(id, 0, "Let me "), thought(id, 1, "think"));
    const growing = el.querySelector<HTMLDetailsElement>("details.lw-thought");
    expect([growing?.hidden, growing?.open, growing?.textContent]).toEqual([false, false, "Thinking…Let me think"]);
    await receive(chunk(id, 2, "Yes."));
    expect(growing?.querySelector("summary")?.textContent).toBe("Thoughts");
    expect(el.querySelector(".lw-markdown")?.textContent).toBe("Yes.");
    const made = {
      stop_reason: "eos",
      thoughts: "Let me think",
      usage: { thought_tokens: 12 },
      timings: { thought_s: 1.5 },
    };
    await receive(turn(id, `a${id}`, "assistant", "Yes.", made));
    const settled = el.querySelector<HTMLDetailsElement>("details.lw-thought");
    expect([settled?.open, settled?.textContent]).toEqual([false, "Thought for 1.5 s · 12 tokensLet me think"]);
  });

  it("calls of tools and their results are shown, and the panel stays busy", async () => {
    await draw({ state: "tool" });
    const id = await ask();
    const called = {
      stop_reason: "tool_calls",
      tool_calls: [{ id: "c", name: "weather", arguments: { town: "Bern", days: 2 } }],
    };
    const tool = (state: string, content = "") =>
      turn(id, "w", "tool", content, { name: "weather", tool_call_id: "c", state });
    const card = () => el.querySelector<HTMLDetailsElement>('[aria-label="Tool weather"]');
    await receive(turn(id, `a${id}`, "assistant", "", called), tool("waiting"));
    expect(card()?.textContent).toBe('weather(town: "Bern", days: 2) · waits to be confirmed');
    expect(status()).toBe("A tool waits to be confirmed · weather");
    await receive(tool("running"));
    expect(status()).toBe("Running a tool · weather");
    expect(button("Stop")).toBeDefined();
    await receive(tool("failed", "Error: ValueError: no"));
    expect([card()?.open, card()?.textContent]).toEqual([
      false,
      'weather(town: "Bern", days: 2) · failedError: ValueError: no',
    ]);
    await receive(turn(id, "b", "assistant", ""), chunk(id, 0, "Rain."));
    expect(turns().at(-1)).toBe("Rain.");
  });

  it("an answer that was stopped while a tool ran can be gone on with or made again", async () => {
    await draw();
    const called = { stop_reason: "tool_calls", tool_calls: [{ id: "c", name: "weather", arguments: {} }] };
    const turns = [
      { id: "q", role: "user", content: "Rain?" },
      { id: "a", role: "assistant", content: "", ...called },
      { id: "w", role: "tool", content: "stopped", name: "weather", tool_call_id: "c", state: "stopped" },
    ];
    await receive({ type: "snapshot", request_id: "h", turns });
    button("Regenerate")?.click();
    expect(model.last("regenerate")).toMatchObject({ turn: "w" });
    expect(button("Continue")).toBeDefined();
  });

  it("warnings are shown until there is nothing to warn of", async () => {
    await draw({ notices: ["This model has no chat template.", "2 messages left."] });
    const notice = () => el.querySelector(".lw-notice");
    expect(notice()?.getAttribute("role")).toBe("status");
    expect([...(notice()?.children ?? [])].map((line) => line.textContent)).toEqual(model.get("notices"));
    model.change({ notices: [] });
    await settled();
    expect(notice()).toBeNull();
  });

  it("an answer says what was left out for it", async () => {
    await draw();
    const id = await ask();
    await receive(turn(id, `a${id}`, "assistant", "Yes.", { stop_reason: "eos", dropped: 3 }));
    expect(turns()[1]).toContain("3 older messages left out");
  });
});

describe("the message box", () => {
  it("takes a double click on Send for one, and does not stop what it has begun", async () => {
    await draw();
    await type("Why?");
    for (const detail of [1, 2]) {
      el.querySelector<HTMLElement>(".lw-sending button")?.dispatchEvent(
        new MouseEvent("click", { bubbles: true, detail }),
      );
      await settled();
    }
    expect(model.last("ask")).toMatchObject({ text: "Why?" });
    expect(button("Stop")).toBeTruthy();
    expect(model.last("abort")).toBeUndefined();
  });

  it("Shift+Enter starts a line, an empty message is not sent, and the notebook hears no key", async () => {
    await draw();
    const heard = vi.fn();
    el.addEventListener("keydown", heard);
    await type("   ");
    await press("Enter");
    await type("text");
    expect((await press("Enter", { shiftKey: true })).defaultPrevented).toBe(false);
    await press("x");
    expect(model.last("ask")).toBeUndefined();
    expect(heard).not.toHaveBeenCalled();
  });

  it("what concerns the whole page gets through, and nothing that runs, merges or brings back cells", async () => {
    await draw();
    const heard: string[] = [];
    el.addEventListener("keydown", ({ key }) => heard.push(key));
    for (const key of ["Enter", "z", "Z", "a", "v", "x", "M", "Backspace", "ArrowUp", "s", "f", "C"]) {
      await press(key, { ctrlKey: true });
    }
    await press("s", { metaKey: true });
    await press("s", { ctrlKey: true, altKey: true }); // AltGr writes letters with it
    await press("s");
    await press("Enter", { altKey: true });
    expect(heard).toEqual(["s", "f", "C", "s"]);
  });

  it("Enter that ends the composition of a word does not send", async () => {
    await draw();
    await type("にほん");
    expect((await press("Enter", { isComposing: true })).defaultPrevented).toBe(false);
    expect(model.last("ask")).toBeUndefined();
  });

  it("keeps its focus after sending, also with the button", async () => {
    await draw();
    await type("Why?");
    button("Send")?.click();
    expect(model.last("ask")).toBeDefined();
    expect(document.activeElement).toBe(box());
  });

  it("sends nothing while an answer is being made, and keeps what is typed", async () => {
    await draw();
    await ask();
    await type("next");
    await press("Enter");
    expect(model.sent.filter(({ type: kind }) => kind === "ask")).toHaveLength(1);
    expect(box().value).toBe("next");
  });

  it("gets the question back when it could not be answered, with the reason above", async () => {
    await draw();
    const id = await ask("A long one");
    const error = { code: "context_overflow", message: "The prompt is too long.", hint: "Shorten it." };
    model.change({ error });
    await receive(
      { type: "error", request_id: id, ...error },
      { type: "branched", request_id: id, after: "", turns: [] },
      { type: "rejected", request_id: id, text: "A long one", turn: `q${id}` },
    );
    expect(turns()).toEqual([]);
    expect(box().value).toBe("A long one");
    expect(el.querySelector('[role="alert"]')?.textContent).toBe("The prompt is too long. Shorten it.");
  });
});

describe("Stop", () => {
  it("says so at once, aborts the running request, and with Escape from anywhere in the panel", async () => {
    await draw({ state: "generating" });
    const id = await ask();
    await press("Escape", {}, el.querySelector(".lw-log") as Element);
    expect(model.last("abort")).toEqual({ type: "abort", request_id: expect.any(String), target: id });
    expect(status()).toBe("Stopping…");
    expect(button("Stop")?.disabled).toBe(true);
    await press("Escape");
    expect(model.sent.filter(({ type: kind }) => kind === "abort")).toHaveLength(1);
    await receive(turn(id, `a${id}`, "assistant", "Half", { stop_reason: "abort" }));
    model.change({ state: "ready" });
    await settled();
    expect(status()).toBe("Ready");
    expect(turns()[1]).toContain("Half");
  });

  it("with nothing running does nothing", async () => {
    await draw();
    await press("Escape");
    expect(model.last("abort")).toBeUndefined();
  });

  it("tells the truth when the kernel does not answer, and takes it back when it does", async () => {
    await draw({ state: "generating" });
    await ask();
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    button("Stop")?.click();
    await vi.advanceTimersByTimeAsync(500);
    vi.useRealTimers();
    await settled();
    expect(status()).toMatch(/^The kernel is running a cell, so Stop will act when it ends\. .*Kernel → Interrupt/);
    await receive({ type: "pong", request_id: String(model.last("ping")?.request_id) });
    expect(status()).toBe("Stopping…");
  });

  it("can be pressed again while the kernel does not answer", async () => {
    await draw({ state: "generating" });
    await ask();
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    button("Stop")?.click();
    await vi.advanceTimersByTimeAsync(500);
    vi.useRealTimers();
    await settled();
    button("Stop")?.click();
    expect(model.sent.filter(({ type: kind }) => kind === "abort")).toHaveLength(2);
  });

  it("is not meant by an Escape that takes back what was typed in the model box", async () => {
    await draw({ state: "generating" });
    await ask();
    button("Qwen3-4B · Q4_K_M")?.click();
    await settled();
    const models = el.querySelector('[role="combobox"]') as HTMLInputElement;
    models.value = "x";
    models.dispatchEvent(new Event("input", { bubbles: true }));
    await settled();
    await press("Escape", {}, models);
    expect(model.last("abort")).toBeUndefined();
    await press("Escape", {}, models);
    expect(model.last("abort")).toBeDefined();
  });

  it("of a question that waits for the kernel names that question", async () => {
    await draw();
    await type("Why?");
    await press("Enter");
    button("Stop")?.click();
    expect(model.last("abort")?.target).toBe(model.last("ask")?.request_id);
  });

  it("goes over the control comm where that works", async () => {
    const kernel = new MockKernel();
    await draw({ state: "generating" }, { kernel });
    const comm = kernel.comms[0] as MockComm;
    await receive({ type: "pong", request_id: String(comm.sent[0]?.request_id) });
    expect(comm.sent.at(-1)).toMatchObject({ type: "hello", widget: "model-1" });
    await receive({ type: "snapshot", request_id: "h", turns: [], running: "" });
    await receive(turn("r", "q", "user", "Why?"), turn("r", "a", "assistant", ""));
    button("Stop")?.click();
    expect(comm.sent.findLast(({ type: kind }) => kind === "abort")).toMatchObject({ target: "r", widget: "model-1" });
    expect(model.last("abort")).toBeUndefined();
  });
});

it("a question that the kernel does not echo stays in the box, with the reason", async () => {
  await draw();
  await type("Why?");
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  button("Send")?.click();
  await vi.advanceTimersByTimeAsync(500);
  vi.useRealTimers();
  await settled();
  expect(status()).toBe("Waiting for the running cell; your message will be sent when it ends.");
  expect(box().value).toBe("Why?");
});

describe("the status line", () => {
  it.each<[string, Partial<ChatTraits>]>([
    ["Loading model · 40 %", { state: "loading", progress: { operation: "load", done: 400, total: 1000 } }],
    ["Waiting for another answer", { state: "waiting" }],
    [
      "Reading the prompt · 1,200 of 4,000",
      { state: "prefill", progress: { operation: "prefill", done: 1200, total: 4000 } },
    ],
    ["Answering", { state: "generating" }],
    ["Stopping…", { state: "stopping" }],
    ["Ready", { state: "ready" }],
    ["It broke.", { state: "error", error: { code: "engine", message: "It broke.", hint: "" } }],
    ["Choose a model to start", { state: "idle", model: "", loaded: null }],
  ])("%s", async (words, traits) => {
    await draw(traits);
    expect(status()).toBe(words);
  });

  it("is not read out with every figure: its words are, elsewhere", async () => {
    await draw({ state: "loading", progress: { operation: "load", done: 400, total: 1000 } });
    expect(el.querySelector('[role="status"]')?.getAttribute("aria-live")).toBe("off");
    expect([...el.querySelectorAll('[aria-live="polite"]')].map((each) => each.textContent)).toContain("Loading model");
    expect(el.querySelector('[role="log"]')?.getAttribute("aria-live")).toBe("off");
  });
});

describe("the model", () => {
  it("is chosen within the panel while there is none, and the panel goes on when it is loaded", async () => {
    await draw({ model: "", state: "idle", loaded: null });
    expect(box().closest(".lw")?.querySelector('[role="combobox"]')).not.toBeNull();
    button("Load Smol Q4_1")?.click();
    expect(selector.last("load_model")).toMatchObject({ model: "/m/s.gguf" });
    el.querySelector<HTMLInputElement>('[role="combobox"]')?.focus();
    model.change({ model: "/m/s.gguf", state: "ready", loaded: LOADED });
    await settled();
    expect(el.querySelector('[role="combobox"]')).toBeNull();
    expect(document.activeElement).toBe(box());
  });

  it("can be chosen also where the selector is made known after the panel", async () => {
    await draw({ model: "", state: "idle", loaded: null, selector: null as never });
    expect(el.querySelector('[role="combobox"]')).toBeNull();
    model.change({ selector: "IPY_MODEL_child" });
    await settled();
    expect(el.querySelector('[role="combobox"]')).not.toBeNull();
  });

  it("that another panel has loaded can be taken, and is not unloaded from here", async () => {
    await draw({ model: "", state: "idle", loaded: null });
    selector.change({ loaded: "/m/s.gguf" });
    await settled();
    expect(button("Unload Smol Q4_1")).toBeUndefined();
    button("Load Smol Q4_1")?.click();
    expect(selector.last("load_model")).toMatchObject({ model: "/m/s.gguf" });
    model.change({ model: "/m/s.gguf", state: "ready", loaded: { ...LOADED, name: "Smol", path: "/m/s.gguf" } });
    await settled();
    button("Smol · Q4_K_M")?.click();
    await settled();
    expect(button("Unload Smol Q4_1")).toBeDefined();
  });

  it("is shown in the header, which opens and closes the selector", async () => {
    await draw();
    const chip = button("Qwen3-4B · Q4_K_M");
    expect(chip?.getAttribute("aria-expanded")).toBe("false");
    expect(el.textContent).toContain("2.5 GB in memory · 8,192 tokens");
    chip?.click();
    await settled();
    expect(el.querySelector('[role="combobox"]')).not.toBeNull();
    chip?.click();
    await settled();
    expect(el.querySelector('[role="combobox"]')).toBeNull();
  });

  it("that loads for a question shows a bar that bears its name", async () => {
    await draw({
      loaded: null,
      model: "/m/q.gguf",
      state: "loading",
      progress: { operation: "load", done: 1, total: 4 },
    });
    const bar = el.querySelector('[role="progressbar"]');
    expect([bar?.getAttribute("aria-label"), bar?.getAttribute("aria-valuenow")]).toEqual(["q.gguf", "25"]);
  });
});

it("says when the kernel is gone, keeps what was said and sends nothing more", async () => {
  await draw();
  const id = await ask();
  await receive(chunk(id, 0, "Half an"));
  await type("next");
  model.disconnect();
  await settled();
  expect(status()).toMatch(/^The kernel was restarted or is gone/);
  expect(el.textContent).not.toContain("in memory");
  expect(turns()).toEqual(["Why?", "Half an"]);
  await press("Enter");
  expect(model.last("ask")?.request_id).toBe(id);
  expect(box().value).toBe("next");
  expect(button("Send")?.disabled).toBe(true);
});

it("leaves nothing behind when the model is gone", async () => {
  await draw({ model: "" });
  ending.abort();
  await settled();
  expect([model.listeners, selector.listeners]).toEqual([0, 0]);
  expect(el.children).toHaveLength(0);
});

describe("a turn", () => {
  const two = { id: "a2", role: "assistant", content: "Two", stop_reason: "eos", siblings: ["a1", "a2", "a3"] };
  const shown = async (...turns: object[]) => {
    await draw();
    await receive({ type: "snapshot", request_id: "h", turns });
  };
  const question = { id: "q1", role: "user", content: "Why?" };

  it("is switched to what was said in its place, and the keyboard stays on the button", async () => {
    await shown(question, two);
    expect(el.querySelector('[aria-label="Branches"]')?.textContent).toBe("‹2 / 3›");
    button("Next branch")?.click();
    expect(model.last("switch")).toMatchObject({ turn: "a3" });
    await receive({ type: "branched", request_id: "", after: "q1", turns: [{ ...two, id: "a3", content: "Three" }] });
    expect(turns()).toEqual(["Why?", "Three"]);
    expect(document.activeElement).toBe(button("Next branch"));
    expect(button("Next branch")?.getAttribute("aria-disabled")).toBe("true");
    button("Next branch")?.click();
    expect(model.sent.filter(({ type }) => type === "switch")).toHaveLength(1);
  });

  it("is answered again, gone on with and deleted, and comes back", async () => {
    await shown(question, { ...two, stop_reason: "max_tokens" });
    button("Delete", el.querySelector<HTMLElement>('[data-turn="a2"]') as HTMLElement)?.click();
    expect(model.last("delete")).toMatchObject({ turn: "a2" });
    model.change({ can_undo: true });
    await settled();
    expect(el.textContent).toContain("Deleted.");
    button("Undo")?.click();
    expect(model.last("undo")).toBeDefined();
    expect(document.activeElement?.getAttribute("role")).toBe("log"); // the button is gone with what it undid
    button("Continue")?.click();
    await settled();
    const id = model.last("continue")?.request_id as string;
    expect(id).toBeDefined();
    expect(button("Regenerate")?.disabled).toBe(true);
    await receive(
      { type: "branched", request_id: id, after: "q1", turns: [] },
      turn(id, "a4", "assistant", "Two"),
      chunk(id, 0, " more"),
    );
    expect(turns()).toEqual(["Why?", "Two more"]);
    await receive(turn(id, "a4", "assistant", "Two more", { stop_reason: "eos" }));
    expect(button("Continue")).toBeUndefined();
    button("Regenerate")?.click();
    expect(model.last("regenerate")).toMatchObject({ turn: "a4" });
  });

  it("that is a question is edited with the keyboard, and the box stays until the kernel has it", async () => {
    await shown(question, two);
    button("Edit")?.click();
    await settled();
    const edit = el.querySelector<HTMLTextAreaElement>('[aria-label="Edit message"]') as HTMLTextAreaElement;
    expect(document.activeElement).toBe(edit);
    await press("Escape", {}, edit);
    expect(turns()[0]).toBe("Why?");
    button("Edit")?.click();
    await settled();
    const again = el.querySelector<HTMLTextAreaElement>('[aria-label="Edit message"]') as HTMLTextAreaElement;
    again.value = "Why not?";
    again.dispatchEvent(new Event("input", { bubbles: true }));
    await press("Enter", {}, again);
    const sent = model.last("edit");
    expect(sent).toMatchObject({ turn: "q1", text: "Why not?" });
    const error = { type: "error", request_id: sent?.request_id, code: "busy", message: "Busy.", hint: "" };
    await receive(error);
    expect(again.isConnected).toBe(true);
    expect(again.value).toBe("Why not?");
    const edited = { ...question, id: "q2", content: "Why not?", siblings: ["q1", "q2"] };
    await receive({ type: "branched", request_id: "r", after: "", turns: [edited] });
    expect(again.isConnected).toBe(false);
    expect(document.activeElement?.getAttribute("role")).toBe("log");
  });

  it("marks what the model is no longer told", async () => {
    const usage = { prompt_tokens: 9, cached_tokens: 0, completion_tokens: 1 };
    await shown(question, two, { ...question, id: "q2" }, { ...two, id: "a9", usage, dropped: 2, first_kept: "q2" });
    expect(el.querySelector(".lw-left-out")?.nextElementSibling?.getAttribute("data-turn")).toBe("q2");
  });
});

describe("several conversations", () => {
  const conversations = [
    { id: "c1", name: "Sky", current: false },
    { id: "c2", name: "Outliers", current: true },
  ];

  it("are listed, opened, named and deleted", async () => {
    await draw({ conversations });
    await pick("Conversations");
    const list = () => el.querySelector('[aria-label="Conversations"]');
    expect(document.activeElement?.textContent).toBe("Outliers");
    button("Rename Sky")?.click();
    await settled();
    const name = el.querySelector<HTMLInputElement>('[aria-label="Name of the conversation"]') as HTMLInputElement;
    expect(name.value).toBe("Sky");
    name.value = "Blue sky";
    await press("Enter", {}, name);
    expect(model.last("rename_conversation")).toMatchObject({ conversation: "c1", name: "Blue sky" });
    button("Delete Outliers")?.click();
    expect(model.last("delete_conversation")).toMatchObject({ conversation: "c2" });
    button("Sky")?.click();
    await settled();
    expect(model.last("open_conversation")).toMatchObject({ conversation: "c1" });
    expect(list()).toBeNull();
    expect(document.activeElement).toBe(box());
    await pick("New conversation");
    expect(model.last("new_conversation")).toBeDefined();
  });

  it("a name that is left with Escape stays as it was", async () => {
    await draw({ conversations });
    await pick("Conversations");
    button("Rename Sky")?.click();
    await settled();
    const name = el.querySelector<HTMLInputElement>('[aria-label="Name of the conversation"]') as HTMLInputElement;
    name.value = "Other";
    await press("Escape", {}, name);
    expect(model.last("rename_conversation")).toBeUndefined();
    expect(el.querySelector('[aria-label="Conversations"]')).not.toBeNull();
  });
});

it("tells what the keyboard does when asked with a question mark, but not while one is written", async () => {
  await draw();
  await press("?");
  expect(el.querySelector('[aria-label="Keyboard"]')).toBeNull();
  await press("?", {}, el.querySelector('[role="log"]') as Element);
  expect(el.querySelector('[aria-label="Keyboard"] kbd')).not.toBeNull();
  await press("Escape", {}, document.activeElement as Element);
  expect(el.querySelector('[aria-label="Keyboard"]')).toBeNull();
  expect(document.activeElement).toBe(box());
});

it("is read out sentence by sentence, and code is only named", async () => {
  const spoken = (...words: string[]) =>
    vi.waitFor(
      () => expect([...el.querySelectorAll('[aria-live="polite"] p')].map((each) => each.textContent)).toEqual(words),
      5000,
    );
  await draw();
  await receive(turn("r", "q", "user", "Why?"), turn("r", "a", "assistant", ""));
  await receive(chunk("r", 0, "The sky **is** blue. It scat"));
  await spoken("The sky is blue.");
  await receive(chunk("r", 1, "ters.\n\n```\nx = 1\n```\n\nDone"));
  await spoken("The sky is blue.", "It scatters.\nCode block.");
  const whole = "The sky **is** blue. It scatters.\n\n```\nx = 1\n```\n\nDone";
  await receive(turn("r", "a", "assistant", whole, { stop_reason: "eos" }));
  await spoken("The sky is blue.", "It scatters.\nCode block.", "Done");
});

describe("files", () => {
  it("saves what this page has asked for, under the kernel's name for it", async () => {
    const saved: string[] = [];
    const blobs: Blob[] = [];
    URL.createObjectURL = (blob) => {
      blobs.push(blob as Blob);
      return "blob:x";
    };
    const click = vi.spyOn(HTMLAnchorElement.prototype, "click").mockImplementation(function (this: HTMLAnchorElement) {
      saved.push(this.download);
    });
    await draw();
    await ask();
    await pick("Export as Markdown");
    const asked = model.last("export");
    expect(asked?.format).toBe("markdown");
    await receive({ type: "exported", request_id: "another page's", name: "Theirs.md", text: "x" });
    expect(saved).toEqual([]);
    await receive({ type: "exported", request_id: asked?.request_id, name: "Why.md", text: "**You**" });
    expect(saved).toEqual(["Why.md"]);
    expect(await blobs[0]?.text()).toBe("**You**");
    click.mockRestore();
  });

  it("sends a file that was chosen, and refuses one that would break the connection", async () => {
    let file = new File(["[]"], "chat.json");
    const click = vi.spyOn(HTMLInputElement.prototype, "click").mockImplementation(function (this: HTMLInputElement) {
      Object.defineProperty(this, "files", { value: [file] });
      this.dispatchEvent(new Event("change"));
    });
    await draw();
    await pick("Import JSON");
    await vi.waitFor(() => expect(model.last("import")?.text).toBe("[]"));
    file = new File([new Uint8Array(8_000_001)], "large.json");
    await pick("Import JSON");
    await vi.waitFor(() => expect(el.querySelector('[role="alert"]')?.textContent).toContain("large.json is larger"));
    expect(model.sent.filter(({ type }) => type === "import")).toHaveLength(1);
    click.mockRestore();
  });

  it("has nothing to export where nothing was said", async () => {
    await draw();
    await pick("Export as JSON");
    expect(model.last("export")).toBeUndefined();
  });
});
