import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { ModelEntry, SelectorTraits } from "../src/messages";
import selector from "../src/selector";
import { isReference, target } from "../src/selector/choice";
import { MockModel, settled } from "./mocks";

const SMOL: ModelEntry = {
  model: "/models/smollm2.gguf",
  name: "SmolLM2-135M-Instruct",
  quantisation: "Q4_1",
  size: 98_300_000,
  source: "demo",
  path: "/models/smollm2.gguf",
  used: 0,
};
const QWEN: ModelEntry = {
  model: "hf:Qwen/Qwen3-4B-GGUF/q.gguf",
  name: "Qwen3-4B",
  quantisation: "Q4_K_M",
  size: 2_500_000_000,
  source: "cache",
  path: "/cache/q.gguf",
  used: 0,
};
const TRAITS: SelectorTraits = {
  value: "",
  models: [QWEN, SMOL],
  loaded: "",
  loading: null,
  downloads: [],
  error: null,
  notices: [],
  folder: "",
  fits: {},
  free: 0,
  leftovers: {},
  locked: "",
};

let model: MockModel<SelectorTraits>;
let el: HTMLElement;
let ending: AbortController;

async function draw(traits: Partial<SelectorTraits> = {}): Promise<void> {
  model = new MockModel({ ...TRAITS, ...traits });
  const widget = selector();
  widget.initialize({ model: model.as, signal: ending.signal } as never);
  widget.render({ model: model.as, el, signal: ending.signal } as never);
  await settled();
}

const box = () => el.querySelector<HTMLInputElement>('[role="combobox"]') as HTMLInputElement;
const button = (name: string) =>
  [...el.querySelectorAll("button")].find((each) => (each.getAttribute("aria-label") ?? each.textContent) === name);
const rows = () => [...el.querySelectorAll("tbody tr")];
const sent = () => model.sent.map(({ request_id: _, ...message }) => message);

async function type(text: string): Promise<void> {
  box().value = text;
  box().dispatchEvent(new Event("input", { bubbles: true }));
  await settled();
}

async function press(key: string, more: KeyboardEventInit = {}): Promise<KeyboardEvent> {
  const event = new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true, ...more });
  box().dispatchEvent(event);
  await settled();
  return event;
}

beforeEach(() => {
  ending = new AbortController();
  el = document.body.appendChild(document.createElement("div"));
});
afterEach(() => {
  ending.abort();
  el.remove();
});

it("shows what a load warned of", async () => {
  await draw({ loaded: SMOL.path, notices: ["This model has no chat template."] });
  expect(el.querySelector('[role="status"]')?.textContent).toBe("This model has no chat template.");
  model.change({ notices: [] });
  await settled();
  expect(el.querySelector('[role="status"]')).toBeNull();
});

describe("the table", () => {
  it("shows name, quantisation, size, where from and what is loaded", async () => {
    await draw({ loaded: SMOL.path, value: SMOL.model });
    expect(rows().map((row) => [...row.querySelectorAll("td")].slice(0, 3).map((cell) => cell.textContent))).toEqual([
      ["Qwen3-4BQwen/Qwen3-4B-GGUF/q.ggufQ4_K_M · 2.50 GB ", "Q4_K_M", "2.50 GB"],
      ["SmolLM2-135M-Instructcomes with the demo · loadedQ4_1 · 98.3 MB ", "Q4_1", "98.3 MB"],
    ]);
    expect(rows().map((row) => row.getAttribute("aria-selected"))).toEqual(["false", "true"]);
    expect(box().value).toBe("SmolLM2-135M-Instruct · Q4_1");
  });

  it("a click on a row chooses it and loads nothing", async () => {
    await draw();
    (rows()[0] as HTMLElement).click();
    expect(sent()).toEqual([{ type: "choose", model: QWEN.model }]);
  });

  it("a row's button loads it, and unloads what is loaded", async () => {
    await draw({ loaded: SMOL.path });
    button("Load Qwen3-4B Q4_K_M")?.click();
    expect(sent()).toEqual([
      { type: "choose", model: QWEN.model },
      { type: "load_model", model: QWEN.model },
    ]);
    button("Unload SmolLM2-135M-Instruct Q4_1")?.click();
    expect(sent().at(-1)).toEqual({ type: "unload_model" });
  });

  it("has one stop for Tab per button above it, and none per row", async () => {
    await draw();
    expect([...el.querySelectorAll<HTMLElement>("tbody button")].map(({ tabIndex }) => tabIndex)).toEqual([-1, -1]);
  });

  it("names the folder of a file, and the same model in two quantisations apart", async () => {
    const small = {
      ...SMOL,
      source: "folder",
      quantisation: "Q8_0",
      model: "/big/s.gguf",
      path: "/big/s.gguf",
      used: 0,
    } as const;
    await draw({ models: [{ ...SMOL, source: "folder" }, small] });
    expect(rows().map((row) => row.querySelector(".lw-small")?.textContent)).toEqual(["/models", "/big"]);
    button("Load SmolLM2-135M-Instruct Q8_0")?.click();
    expect(sent().at(-1)).toEqual({ type: "load_model", model: "/big/s.gguf" });
  });

  it("follows the traits", async () => {
    await draw({ models: [] });
    expect(el.textContent).toContain("No model on this machine yet");
    model.change({ models: [SMOL] });
    await settled();
    expect(rows()).toHaveLength(1);
  });
});

describe("the model box", () => {
  it("a typed path is loaded with Enter", async () => {
    await draw();
    await type("  /elsewhere/a b.gguf ");
    await press("Enter");
    expect(sent()).toEqual([
      { type: "choose", model: "/elsewhere/a b.gguf" },
      { type: "load_model", model: "/elsewhere/a b.gguf" },
    ]);
  });

  it("a typed reference is downloaded with Enter or the button, and can be loaded", async () => {
    await draw();
    await type("hf:user/repo:Q4_K_M");
    expect(button("Load")?.disabled).toBe(false);
    button("Download")?.click();
    expect(sent().at(-1)).toEqual({ type: "download_model", model: "hf:user/repo:Q4_K_M" });
    await type("hf:user/repo:Q8_0");
    await press("Enter");
    expect(sent().at(-1)).toEqual({ type: "download_model", model: "hf:user/repo:Q8_0" });
  });

  it("a reference that is on this machine is loaded", async () => {
    await draw();
    await type(QWEN.model);
    expect(button("Download")).toBeUndefined();
    await press("Enter");
    expect(sent().at(-1)).toEqual({ type: "load_model", model: QWEN.model });
  });

  it("words narrow the rows down, and Enter loads the first", async () => {
    await draw();
    await type("smol q4");
    expect(rows()).toHaveLength(1);
    expect(box().getAttribute("aria-activedescendant")).toBe(rows()[0]?.id);
    await press("Enter");
    expect(sent().at(-1)).toEqual({ type: "load_model", model: SMOL.model });
  });

  it("the arrow keys move through the rows and send nothing before Enter", async () => {
    await draw();
    expect((await press("ArrowDown")).defaultPrevented).toBe(true);
    await press("ArrowDown");
    await press("ArrowDown");
    expect(box().getAttribute("aria-activedescendant")).toBe(rows()[1]?.id);
    await press("ArrowUp");
    expect(sent()).toEqual([]);
    await press("Enter");
    expect(sent().at(-1)).toEqual({ type: "load_model", model: QWEN.model });
  });

  it("Escape takes back what was typed", async () => {
    await draw({ value: SMOL.model });
    await type("xyz");
    await press("Escape");
    expect(box().value).toBe("SmolLM2-135M-Instruct · Q4_1");
    expect(rows()).toHaveLength(2);
  });

  it("with nothing chosen there is nothing to load", async () => {
    await draw();
    expect(button("Load")?.disabled).toBe(true);
    await press("Enter");
    expect(sent()).toEqual([]);
  });

  it("offers Unload for what is chosen and loaded", async () => {
    await draw({ value: SMOL.model, loaded: SMOL.path });
    button("Unload")?.click();
    expect(sent()).toEqual([{ type: "unload_model" }]);
  });

  it("keeps its keys from the notebook", async () => {
    await draw();
    let heard = 0;
    el.addEventListener("keydown", () => {
      heard += 1;
    });
    await press("Enter", { shiftKey: true });
    await press("a");
    expect(heard).toBe(0);
  });
});

describe("what goes on", () => {
  it("a load shows how far it is and can be cancelled", async () => {
    await draw({ loading: { request_id: "l1", name: "SmolLM2", done: 400, total: 1000 } });
    const bar = el.querySelector('[role="progressbar"]');
    expect(bar?.getAttribute("aria-label")).toBe("SmolLM2");
    expect(bar?.getAttribute("aria-valuenow")).toBe("40");
    expect(bar?.getAttribute("aria-valuetext")).toBe("Loading · 40 %");
    button("Cancel")?.click();
    expect(sent()).toEqual([{ type: "abort", target: "l1" }]);
    model.change({ loading: null });
    await settled();
    expect(el.querySelector('[role="progressbar"]')).toBeNull();
  });

  it("a download can be paused, resumed and cancelled", async () => {
    const download = {
      id: "d1",
      name: "q.gguf",
      model: "hf:u/r",
      state: "downloading",
      done: 30,
      total: 100,
      rate: null,
      eta_s: null,
      free_after: null,
      note: "",
      error: null,
    } as const;
    await draw({ downloads: [download] });
    const bar = el.querySelector('[role="progressbar"]');
    expect([bar?.getAttribute("aria-label"), bar?.getAttribute("aria-valuenow")]).toEqual(["q.gguf", "30"]);
    button("Pause")?.focus();
    button("Pause")?.click();
    button("Cancel")?.click();
    model.change({ downloads: [{ ...download, state: "paused" }] });
    await settled();
    expect(button("Pause")).toBeUndefined();
    expect(document.activeElement).toBe(button("Resume"));
    button("Resume")?.click();
    expect(sent()).toEqual([
      { type: "pause", target: "d1" },
      { type: "abort", target: "d1" },
      { type: "resume", target: "d1" },
    ]);
    const error = { code: "network", message: "The hub cannot be reached.", hint: "Check the network." };
    model.change({ downloads: [{ ...download, state: "failed", error }] });
    await settled();
    expect(el.querySelector('[role="alert"]')?.textContent).toBe("The hub cannot be reached. Check the network.");
    expect(button("Resume")).toBeDefined();
  });

  it("an error says what failed and what to do", async () => {
    await draw({ error: { code: "model_not_found", message: "No such file.", hint: "Check the path." } });
    expect(el.querySelector('[role="alert"]')?.textContent).toBe("No such file. Check the path.");
  });
});

it("says when the kernel is gone, and does nothing more", async () => {
  await draw({ value: QWEN.model, loading: { request_id: "l1", name: "SmolLM2", done: 4, total: 9 } });
  model.disconnect();
  await settled();
  expect(el.querySelector('[role="status"]')?.textContent).toMatch(/^The kernel was restarted or is gone/);
  for (const name of ["Load", "Cancel", "Refresh"]) expect(button(name)?.matches(":disabled")).toBe(true);
});

it("has ids that no other selector of the page has", async () => {
  await draw();
  await draw();
  const ids = [...el.querySelectorAll("[id]")].map(({ id }) => id);
  expect(ids.length).toBe(6);
  expect(new Set(ids).size).toBe(6);
});

it("offers only the model that is set for a class, and says so", async () => {
  await draw({ value: SMOL.model, locked: "The model: set for this class." });
  expect(box().disabled).toBe(true);
  expect(box().value).toContain("SmolLM2");
  expect(el.querySelector('[role="note"]')?.textContent).toBe("The model: set for this class.");
  expect(rows()).toHaveLength(1);
  expect(button("Hub")).toBeUndefined();
  button("Load")?.click();
  expect(sent()).toContainEqual({ type: "load_model", model: SMOL.model });
});

it("leaves nothing behind when it is removed", async () => {
  await draw();
  ending.abort();
  await settled();
  expect(model.listeners).toBe(0);
  expect(el.children).toHaveLength(0);
});

it.each([
  ["hf:user/repo", true],
  ["HF:user/repo:Q4_K_M", true],
  ["hf:user/repo/file.gguf", true],
  ["user/repo", true],
  ["user/repo:Q4", true],
  ["folder/file.gguf", false],
  ["./user/repo", false],
  ["/a/b", false],
  ["C:\\models\\a.gguf", false],
  ["qwen3 4b", false],
  ["", false],
])("%j is a reference: %s", (text, expected) => expect(isReference(text)).toBe(expected));

it("acts on the row at hand before the text, and on the text before the chosen", () => {
  expect(target("smol", SMOL, [SMOL, QWEN], QWEN.model)).toBe(SMOL.model);
  expect(target(" Qwen3-4B ", undefined, [SMOL, QWEN], SMOL.model)).toBe(QWEN.model);
  expect(target(null, undefined, [SMOL, QWEN], QWEN.model)).toBe(QWEN.model);
});
