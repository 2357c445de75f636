// The selector's way to the hub: search, files, fit, details, tokens, deleting.

import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { HubModel, Looked, ModelEntry, SelectorTraits } from "../src/messages";
import selector from "../src/selector";
import { PAUSE_MS } from "../src/selector/hub";
import { MockModel, settled } from "./mocks";

const SMOL: ModelEntry = {
  model: "/models/smollm2.gguf",
  name: "SmolLM2",
  quantisation: "Q4_1",
  size: 98_300_000,
  source: "folder",
  path: "/models/smollm2.gguf",
  used: 1_746_792_000,
};
const QWEN: HubModel = {
  model: "hf:Qwen/Qwen3-4B-GGUF",
  licence: "apache-2.0",
  good_at: "",
  gated: false,
  downloads: 1200,
  likes: 34,
  n_params: 4_022_468_096,
  updated: 1_746_792_000,
};
const [Q4, Q8] = ["Q4_K_M", "Q8_0"].map((quantisation) => ({
  model: `hf:Qwen/Qwen3-4B-GGUF/Qwen3-4B-${quantisation}.gguf`,
  quantisation,
  size: quantisation === "Q8_0" ? 4_280_000_000 : 2_500_000_000,
}));
const INFO: Looked["info"] = {
  model: QWEN.model,
  path: "",
  name: "Qwen3 4B",
  architecture: "qwen3",
  quantisation: "Q4_K_M",
  tokenizer: "gpt2",
  licence: "apache-2.0",
  template: "{{ messages }}",
  size: 2_500_000_000,
  n_params: 4_022_468_096,
  n_ctx_train: 40_960,
  n_layer: 36,
  n_vocab: 151_936,
  files: [
    { ...(Q4 as object), fit: { verdict: "fits", total: 3_600_000_000, n_ctx: 8192 } },
    { ...(Q8 as object), fit: { verdict: "too big", total: 5_400_000_000, n_ctx: 8192 } },
  ] as Looked["info"]["files"],
  gated: false,
  downloads: 1200,
  likes: 3,
  updated: 1_746_792_000,
};
const ESTIMATES = [2048, 8192, 40_960].map((n_ctx) => ({
  n_ctx,
  weights: 2_500_000_000,
  cache: n_ctx * 140_000,
  compute: 100_000_000,
  total: 2_600_000_000 + n_ctx * 140_000,
  free: 4_000_000_000,
  verdict: n_ctx > 8192 ? "too big" : "fits",
}));

let model: MockModel<SelectorTraits>;
let el: HTMLElement;
let ending: AbortController;

async function draw(traits: Partial<SelectorTraits> = {}): Promise<void> {
  model = new MockModel<SelectorTraits>({
    value: "",
    models: [SMOL],
    loaded: "",
    loading: null,
    downloads: [],
    error: null,
    notices: [],
    folder: "",
    fits: { [SMOL.model]: { verdict: "tight", total: 300_000_000, n_ctx: 8192 } },
    free: 350_000_000,
    leftovers: {},
    ...traits,
  });
  const widget = selector();
  widget.initialize({ model: model.as, signal: ending.signal } as never);
  widget.render({ model: model.as, el, signal: ending.signal } as never);
  await settled();
}

const box = () => el.querySelector('[role="combobox"]') as HTMLInputElement;
const button = (name: string) =>
  [...el.querySelectorAll("button")].find((each) => (each.getAttribute("aria-label") ?? each.textContent) === name);
const rows = () => [...el.querySelectorAll(".lw-models tbody tr")].map((row) => row.textContent);
const status = () => [...el.querySelectorAll('[role="status"]')].map((each) => each.textContent).join(" ");
const click = async (name: string) => {
  const found = button(name);
  if (!found) throw new Error(`no button ${name}`);
  found.click();
  await settled();
};
const press = async (key: string) => {
  box().dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
  await settled();
};
const type = async (text: string) => {
  box().value = text;
  box().dispatchEvent(new Event("input", { bubbles: true }));
  await settled();
};
const rest = async () => {
  await vi.waitFor(() => expect(model.last("search")?.text).toBe(box().value.trim()));
};
const answer = async (type: string, message: object) => {
  await vi.waitFor(() => expect(model.last(type)).toBeDefined());
  const kind = { search: "found", look: "looked", delete_model: "deleted" }[type] ?? type;
  model.receive({ type: kind, request_id: model.last(type)?.request_id, ...message });
  await settled();
};
const refuse = async (type: string, code: string, message: string) => {
  model.receive({ type: "error", request_id: model.last(type)?.request_id, code, message, hint: "Do this." });
  await settled();
};
const looked = (more: object = {}) => ({ info: INFO, estimates: ESTIMATES, refusal: null, ...more });

async function found(): Promise<void> {
  await draw();
  await click("Hub");
  await type("qwen3 4b");
  await rest();
  await answer("search", { models: [QWEN] });
}

beforeEach(() => {
  ending = new AbortController();
  el = document.body.appendChild(document.createElement("div"));
});
afterEach(() => {
  ending.abort();
  el.remove();
});

it("says of each model on this machine whether it fits", async () => {
  await draw();
  expect(el.querySelector("thead")?.textContent).toContain("Fits in 350 MB free?");
  expect(rows()[0]).toContain("tight · 300 MB at 8k");
});

describe("searching", () => {
  it("begins with what is good to begin with", async () => {
    await draw();
    await click("Hub");
    expect(button("Hub")?.getAttribute("aria-pressed")).toBe("true");
    await rest();
    await answer("search", { models: [{ ...QWEN, good_at: "Code and tools." }] });
    expect(rows()).toEqual([
      "Qwen/Qwen3-4B-GGUFapache-2.0 · 4.02 billion parameters · 1,200 downloads a month · 34 likes · changed 9 May 2025Code and tools.Show files",
    ]);
    expect(status()).toBe("Good to begin with");
  });

  it("waits until the typing rests, and asks once", async () => {
    await draw();
    await click("Hub");
    await rest();
    const wait = vi.spyOn(globalThis, "setTimeout");
    const forget = vi.spyOn(globalThis, "clearTimeout");
    for (const text of ["q", "qw", "qwen"]) await type(text);
    const timers = wait.mock.results.filter((_, index) => wait.mock.calls[index]?.[1] === PAUSE_MS);
    expect(timers).toHaveLength(3); // each cleared before it could ask, but the last
    for (const { value } of timers.slice(0, -1)) expect(forget).toHaveBeenCalledWith(value);
    await rest();
    expect(model.last("search")?.text).toBe("qwen");
    expect(status()).toContain("Searching");
  });

  it("gives up what it asked before, and shows no late answer", async () => {
    await found();
    await type("first");
    await rest();
    const first = model.last("search")?.request_id;
    await type("second");
    await rest();
    expect(model.last("abort")?.target).toBe(first);
    model.receive({ type: "found", request_id: first, models: [] });
    await settled();
    expect(rows()).toHaveLength(1);
    await answer("search", { models: [{ ...QWEN, model: "hf:a/b" }] });
    expect(rows()[0]).toContain("a/b");
  });

  it("goes back to what was answered", async () => {
    await found();
    await type("other");
    await rest();
    const other = model.last("search")?.request_id;
    await type("qwen3 4b");
    await vi.waitFor(() => expect(model.last("abort")?.target).toBe(other));
    model.receive({ type: "found", request_id: other, models: [] });
    await settled();
    expect(rows()).toHaveLength(1);
    expect(status()).toBe("1 model, the most downloaded first");
  });

  it("says when there is no network, and tries again", async () => {
    await draw();
    await click("Hub");
    await type("qwen");
    await rest();
    await refuse("search", "network", "The model hub cannot be reached.");
    expect(el.querySelector('[role="alert"]')?.textContent).toBe("The model hub cannot be reached. Do this.");
    await click("Try again");
    await answer("search", { models: [QWEN] });
    expect(rows()).toHaveLength(1);
    expect(el.querySelector('[role="alert"]')).toBeNull();
  });

  it("says when nothing is found", async () => {
    await draw();
    await click("Hub");
    await type("zzz");
    await rest();
    await answer("search", { models: [] });
    expect(status()).toBe("The hub has no GGUF model called zzz.");
  });

  it.each([
    "hf:user/repo:Q4_K_M",
    "user/repo:Q4_K_M@main",
    "user/repo@main",
    "user/repo/folder/file.gguf",
    "https://example.org/file.gguf",
  ])("takes %s as a reference, and does not search for it", async (text) => {
    await draw();
    await click("Hub");
    await rest();
    const before = model.sent.filter(({ type }) => type === "search").length;
    await type(text);
    await press("Enter");
    expect(model.last("download_model")?.model).toBe(text);
    expect(model.sent.filter(({ type }) => type === "search")).toHaveLength(before);
    await click("On this machine (1)");
    await type(text);
    expect(button("Download")).toBeDefined();
  });
});

describe("the files of a model", () => {
  it("are shown with what fits, by the keyboard alone, and downloaded", async () => {
    await found();
    await press("ArrowDown");
    expect(box().getAttribute("aria-activedescendant")).toBe(el.querySelector("tbody tr")?.id);
    await press("Enter");
    expect(status()).toContain("Looking at the files");
    await answer("look", looked());
    expect(rows().slice(1)).toEqual([
      "Qwen3-4B-Q4_K_M.ggufQ4_K_M · 2.50 GB fits · 3.6 GB at 8kQ4_K_M2.50 GBfits · 3.6 GB at 8kDownload",
      "Qwen3-4B-Q8_0.ggufQ8_0 · 4.28 GB too big · needs 5.4 GBQ8_04.28 GBtoo big · needs 5.4 GBDownload",
    ]);
    expect(button("Download Qwen3-4B-Q8_0.gguf")?.disabled).toBe(true);
    await press("ArrowDown");
    await press("Enter");
    expect(model.last("download_model")).toMatchObject({ model: Q4?.model });
    await press("ArrowUp");
    await press("Enter");
    expect(rows()).toHaveLength(1);
  });

  it("that come above the row at hand leave Enter to it", async () => {
    await found();
    await type("two");
    await rest();
    await answer("search", { models: [QWEN, { ...QWEN, model: "hf:a/second" }] });
    await press("ArrowDown");
    await press("Enter");
    await press("ArrowDown");
    const second = box().getAttribute("aria-activedescendant");
    await answer("look", looked());
    expect(box().getAttribute("aria-activedescendant")).not.toBe(second); // it is further down now
    await press("Enter");
    expect(model.last("download_model")).toBeUndefined();
    expect(model.last("look")?.model).toBe("hf:a/second");
  });

  it("that are too big are not downloaded by the keyboard either", async () => {
    await found();
    await press("ArrowDown");
    await press("Enter");
    await answer("look", looked());
    await press("ArrowDown");
    await press("ArrowDown");
    await press("Enter");
    expect(model.last("download_model")).toBeUndefined();
    expect(button("Download")?.disabled).toBe(true);
  });

  it("that are here can be loaded", async () => {
    await found();
    model.change({ models: [SMOL, { ...SMOL, model: Q4?.model ?? "", path: "/c/q.gguf" }] });
    await click("Show files Qwen/Qwen3-4B-GGUF");
    await answer("look", looked());
    expect(rows()[1]).toContain("on this machine");
    await click("Load Qwen3-4B-Q4_K_M.gguf");
    expect(model.last("load_model")?.model).toBe(Q4?.model);
  });

  it("of a gated model need a token, which goes with the download and nowhere else", async () => {
    await found();
    await click("Show files Qwen/Qwen3-4B-GGUF");
    const refusal = { code: "gated", message: "It is not given to everyone.", hint: "Three steps." };
    const files = INFO.files.map((file) => ({ ...file, fit: null }));
    await answer("look", looked({ info: { ...INFO, files }, estimates: [], refusal }));
    expect(rows()[1]).toContain("needs a token");
    await click("How to get access");
    expect(el.querySelector(".lw-details")?.textContent).toContain("It is not given to everyone. Three steps.");
    const field = el.querySelector('[aria-label="Access token"]') as HTMLInputElement;
    field.value = " hf_secret ";
    field.dispatchEvent(new Event("input", { bubbles: true }));
    await settled();
    await click("Use token");
    expect(model.last("look")).toMatchObject({ token: "hf_secret" });
    await answer("look", looked());
    await answer("look", looked()); // and once more for the table
    expect(rows()[1]).toContain("fits");
    await click("Download Qwen3-4B-Q4_K_M.gguf");
    expect(model.last("download_model")).toMatchObject({ token: "hf_secret" });
    expect(el.innerHTML).not.toContain("hf_secret");
  });

  it("that cannot be looked at say why", async () => {
    await found();
    await click("Show files Qwen/Qwen3-4B-GGUF");
    await refuse("look", "hub", "The model hub cannot answer now.");
    expect(el.querySelector('[role="alert"]')?.textContent).toContain("cannot answer now");
  });
});

describe("details", () => {
  it("say what a model is and what it takes", async () => {
    await draw({ value: SMOL.model });
    await click("Details");
    expect(model.last("look")?.model).toBe(SMOL.model);
    await answer("look", looked());
    const text = el.querySelector(".lw-details")?.textContent ?? "";
    for (const part of ["qwen3", "4.02 billion", "40,960 tokens", "apache-2.0", "9 May 2025", "{{ messages }}"])
      expect(text).toContain(part);
    const chart = [...el.querySelectorAll(".lw-chart tr")].map((row) =>
      [...row.children].map((cell) => cell.textContent),
    );
    expect(chart).toEqual([
      ["2k", "weights 2.50 GB, cache 287 MB, computing 100 MB", "fits · 2.9 GB"],
      ["8k", "weights 2.50 GB, cache 1.15 GB, computing 100 MB", "fits · 3.7 GB"],
      ["40k", "weights 2.50 GB, cache 5.73 GB, computing 100 MB", "too big · needs 8.3 GB"],
    ]);
    expect(document.activeElement?.textContent).toBe("Close");
    await click("Close");
    expect(el.querySelector(".lw-details")).toBeNull();
    expect(document.activeElement?.textContent).toBe("Details");
  });

  it("are of one model, also when an answer for another comes late", async () => {
    const other = { ...SMOL, model: "/models/other.gguf", path: "/models/other.gguf", name: "Other" };
    await draw({ models: [SMOL, other], value: SMOL.model });
    await click("Details");
    const late = model.last("look")?.request_id;
    model.change({ value: other.model });
    await settled();
    await click("Details");
    await vi.waitFor(() => expect(model.last("look")?.model).toBe(other.model));
    model.receive({ type: "looked", request_id: late, ...looked({ info: { ...INFO, name: "The first" } }) });
    await settled();
    expect(el.querySelector(".lw-details")?.textContent).not.toContain("The first");
  });

  it("delete a model after saying what that frees", async () => {
    await draw({ value: SMOL.model });
    await click("Details");
    await answer("look", looked());
    await click("Delete model");
    expect(model.last("delete_model")).toMatchObject({ model: SMOL.model, dry_run: true });
    await answer("delete_model", { freed: 98_300_000, dry_run: true });
    expect(status()).toContain("Deleting SmolLM2 frees 98.3 MB.");
    expect(document.activeElement?.textContent).toBe("Keep it");
    await click("Keep it");
    expect(model.sent.filter(({ type }) => type === "delete_model")).toHaveLength(1);
    expect(document.activeElement?.textContent).toBe("Delete model");
    await click("Delete model");
    await answer("delete_model", { freed: 98_300_000, dry_run: true });
    await click("Delete it");
    expect(model.last("delete_model")).toMatchObject({ dry_run: false });
    await answer("delete_model", { freed: 98_300_000, dry_run: false });
    expect(el.querySelector(".lw-details")).toBeNull();
  });

  it("say why a model is not deleted", async () => {
    await draw({ value: SMOL.model });
    await click("Details");
    await answer("look", looked());
    await click("Delete model");
    await refuse("delete_model", "delete", "It is in memory.");
    expect(el.querySelector(".lw-details")?.textContent).toContain("It is in memory. Do this.");
  });
});

it("offers to delete what other programs left, and asks once more", async () => {
  await draw({ leftovers: { count: 2, size: 60_000_000 } });
  expect(el.textContent).toContain("Other programs left 2 unfinished downloads here: 60.0 MB");
  await click("Delete");
  expect(model.last("delete_leftovers")).toBeUndefined();
  await click("Yes, delete");
  expect(model.last("delete_leftovers")).toBeDefined();
  await refuse("delete_leftovers", "delete", "It is in use.");
  expect(el.querySelector('[role="alert"]')?.textContent).toBe("It is in use. Do this.");
});
