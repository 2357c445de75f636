// The grid of a sweep: what stands where, what the keyboard does, and what the kernel is asked for.

import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import sweep from "../src/sweep";
import type { SweepTraits } from "../src/sweep/messages";
import { layout } from "../src/sweep/pivot";
import { differences } from "../src/sweep/sides";
import { MockModel, settled } from "./mocks";

const PROMPT = { name: "prompt", kind: "prompt", values: ["Summarise", "… for a child"] } as const;
const HEAT = { name: "temperature", kind: "parameter", values: ["0", "0.7"] } as const;
const SEED = { name: "seed", kind: "seed", values: ["0", "1"] } as const;
const MODEL = { name: "model", kind: "model", values: ["m"] } as const;
/** Two prompts, two temperatures, two seeds. */
const CODES = [
  [0, 0, 0, 0, 1, 1, 1, 1],
  [0, 0, 1, 1, 0, 0, 1, 1],
  [0, 1, 0, 1, 0, 1, 0, 1],
  [0, 0, 0, 0, 0, 0, 0, 0],
];
const TRAITS: SweepTraits = { rows: "prompt", columns: "temperature", colour: "score", error: null };
const STANDING = { state: "running", done: 0, failed: 0, total: 8, eta_s: null, rate: null, notices: [] };

interface Given {
  state?: string;
  text?: string;
  score?: number | null;
  stop_reason?: string;
}

/** These runs as the kernel tells them. */
function columns(given: Record<number, Given>) {
  const all = Object.values(given);
  const none = all.map(() => null);
  return {
    index: Object.keys(given).map(Number),
    state: all.map(({ state = "done" }) => state),
    text: all.map(({ text = "" }) => text),
    stop_reason: all.map(({ stop_reason = "eos" }) => stop_reason),
    tokens: all.map(() => 5),
    seconds: none,
    mean_logprob: none,
    score: all.map(({ score = null }) => score),
  };
}

let model: MockModel<Record<string, unknown> & SweepTraits>;
let el: HTMLElement;
let ending: AbortController;

async function draw(
  given: Record<number, Given> = {},
  { standing = {}, codes = CODES, dimensions = [PROMPT, HEAT, SEED, MODEL] as unknown[], traits = {} } = {},
) {
  model = new MockModel({ ...TRAITS, ...traits, _bundle: "IPY_MODEL_x" });
  const widget = sweep();
  widget.initialize({ model: model.as, signal: ending.signal } as never);
  widget.render({ model: model.as, el, signal: ending.signal } as never);
  model.receive({
    type: "sweep_shown",
    request_id: "h",
    dimensions,
    codes,
    runs: columns(given),
    standing: { ...STANDING, ...standing },
  });
  await settled();
}

const byRole = (role: string) => [...el.querySelectorAll<HTMLElement>(`[role="${role}"]`)];
const grid = () => byRole("grid")[0] as HTMLElement;
const cells = () => byRole("gridcell").map((cell) => cell.textContent?.trim());
const active = () => document.getElementById(grid().getAttribute("aria-activedescendant") ?? "") as HTMLElement;
const button = (name: string) =>
  [...el.querySelectorAll("button")].find((each) =>
    (each.getAttribute("aria-label") ?? each.textContent)?.includes(name),
  );
const region = () => byRole("region")[0];

async function press(...keys: string[]): Promise<void> {
  for (const key of keys) {
    grid().dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
    await settled();
  }
}

async function click(target: HTMLElement | undefined, more: MouseEventInit = {}): Promise<void> {
  target?.dispatchEvent(new MouseEvent("click", { bubbles: true, ...more }));
  await settled();
}

/** The kernel answers what was asked last. */
async function answer(text: string, more: Record<string, unknown> = {}): Promise<void> {
  const asked = model.last("open_run");
  const none = { thoughts: "", error: "", parse_error: "", score_error: "", parsed: null };
  const figures = ["prompt_tokens", "cached_tokens", "completion_tokens", "ttft_s", "decode_tps", "seconds"];
  const run = {
    ...none,
    ...Object.fromEntries([...figures, "mean_logprob", "score"].map((name) => [name, null])),
    state: "done",
    stop_reason: "eos",
    text,
    code: "",
    settings: [["temperature", "0.7"]],
    messages: [{ role: "user", content: "Why?" }],
    tokens: [],
    ...more,
  };
  model.receive({ type: "run", request_id: asked?.request_id, index: asked?.index, run });
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

describe("the layout", () => {
  const dimensions = [PROMPT, HEAT, SEED, MODEL].map((each) => ({ ...each, values: [...each.values] }));

  it("lists the runs of a cell one below the other, with what tells them apart", () => {
    const { lines, rows, columns: across, rest } = layout(dimensions, CODES, 8, "prompt", "temperature");
    expect(lines.map(({ row, at, of, cells: runs }) => [row, at, of, ...runs.entries()])).toEqual([
      [0, 0, 2, [0, 0], [1, 2]],
      [0, 1, 2, [0, 1], [1, 3]],
      [1, 0, 2, [0, 4], [1, 6]],
      [1, 1, 2, [0, 5], [1, 7]],
    ]);
    expect(rows.map(({ label }) => label)).toEqual(["Summarise", "… for a child"]);
    expect(across.map(({ label }) => label)).toEqual(["temperature 0", "temperature 0.7"]);
    expect([rest(0), rest(7)]).toEqual(["seed 0", "seed 1"]);
  });

  it("says what tells runs apart so short that the reply beside it is to be seen", () => {
    const review = { ...PROMPT, values: ["The battery lasts two days and it charges fast.", "No."] };
    const codes = [
      [0, 1],
      [0, 0],
    ];
    const { rest } = layout([review, ...dimensions.slice(2, 3)], codes, 2, "", "");
    expect([rest(0), rest(1)]).toEqual(["The battery lasts… · seed 0", "No. · seed 0"]);
  });

  it("stands without rows and columns, and has a place for runs without a value", () => {
    expect(layout(dimensions, CODES, 8, "", "").lines).toHaveLength(8);
    const holes = [CODES[0] as number[], [0, 0, 1, 1, -1, -1, 1, 1], ...CODES.slice(2)];
    const { columns: across } = layout(dimensions, holes, 8, "prompt", "temperature");
    expect(across.map(({ label, runs }) => [label, runs])).toEqual([
      ["temperature none", [4, 5]],
      ["temperature 0", [0, 1]],
      ["temperature 0.7", [2, 3, 6, 7]],
    ]);
  });

  it("keeps apart what no two runs share without a cell for each pair", () => {
    const many = Array.from({ length: 2000 }, (_, at) => at);
    const names = many.map(String);
    const two = ["a", "b"].map((name) => ({ name, kind: "variable" as const, values: names }));
    const { lines } = layout(two, [many, many], 2000, "a", "b");
    expect(lines.reduce((sum, { cells: runs }) => sum + runs.size, 0)).toBe(2000);
  });
});

describe("the grid", () => {
  it("says of each run how it is", async () => {
    await draw({
      0: { text: "A cat." },
      1: { state: "failed", text: "The engine failed." },
      2: { state: "running", text: "Once" },
      3: { state: "stopped", text: "Half" },
      4: { text: "" },
    });
    expect(cells()).toEqual([
      "seed 0 A cat.",
      "seed 0 Once▍",
      "seed 1 Failed: The engine failed.",
      "seed 1 Half stopped",
      "seed 0 no text",
      "seed 0 waiting",
      "seed 1 waiting",
      "seed 1 waiting",
    ]);
    expect(byRole("rowheader").map((each) => each.textContent)).toEqual([
      ...Array(2).fill("Summarise"),
      ...Array(2).fill("… for a child"),
    ]);
  });

  it("shows figures and means with its colours, so that nobody needs to see them", async () => {
    await draw({ 0: { text: "a", score: 1 }, 1: { text: "b", score: 0 }, 2: { text: "c", score: 0.25 } });
    expect(cells().slice(0, 3)).toEqual(["1seed 0 a", "0.25seed 0 c", "0seed 1 b"]);
    expect(byRole("columnheader").map((each) => each.textContent)).toEqual([
      "prompt",
      "temperature 0mean score 0.5",
      "temperature 0.7mean score 0.25",
    ]);
    const strengths = byRole("gridcell").map((cell) => cell.style.getPropertyValue("--lw-share"));
    expect(strengths.slice(0, 3)).toEqual(["36%", "9%", "0%"]);
    model.change({ colour: "stop_reason" });
    await settled();
    expect(cells()[0]).toBe("eosseed 0 a");
  });

  it("takes what changes, and keeps the rest", async () => {
    await draw({ 0: { text: "old" } });
    model.receive({
      type: "sweep_changed",
      request_id: "",
      runs: columns({ 2: { text: "new" } }),
      standing: { ...STANDING, done: 2, rate: 250.4, eta_s: 9 },
    });
    await settled();
    expect(cells().slice(0, 2)).toEqual(["seed 0 old", "seed 0 new"]);
    expect(el.textContent).toContain("2 of 8 runs");
    expect(el.textContent).toContain("batched · 250 tokens/s together · 9 s left");
  });

  it("draws what is in sight of 2,000 runs, and says how many there are", async () => {
    const many = Array.from({ length: 2000 }, (_, at) => at);
    const dimensions = [{ name: "row", kind: "variable", values: many.map(String) }];
    await draw({}, { dimensions, codes: [many], standing: { total: 2000 }, traits: { rows: "row", columns: "" } });
    expect(byRole("gridcell").length).toBeLessThan(40);
    expect(grid().getAttribute("aria-rowcount")).toBe("2001");
    grid().dispatchEvent(new KeyboardEvent("keydown", { key: "End", ctrlKey: true, bubbles: true }));
    await settled();
    expect(active().closest('[role="row"]')?.getAttribute("aria-rowindex")).toBe("2001");
  });

  it("is walked with the arrows", async () => {
    await draw({ 0: { text: "a" }, 7: { text: "last" } });
    expect(active().textContent).toContain("seed 0 a");
    await press("ArrowRight", "ArrowDown", "ArrowDown", "ArrowDown", "ArrowDown");
    expect(active().textContent).toContain("last");
    await press("Home", "PageUp");
    expect(active().textContent).toContain("seed 0 a");
  });

  it("changes places where rows and columns would be the same, and tells the kernel", async () => {
    await draw();
    const [, across] = el.querySelectorAll("select");
    if (across) across.value = "prompt";
    across?.dispatchEvent(new Event("change", { bubbles: true }));
    await settled();
    expect(model.last("arrange")).toMatchObject({ rows: "temperature", columns: "prompt", colour: "score" });
    expect(byRole("rowheader")[0]?.textContent).toBe("temperature 0");
  });
});

describe("a run", () => {
  it("is opened with Enter, and closed with Escape", async () => {
    await draw({ 0: { text: "A **cat** …" } });
    await press("Enter");
    expect(model.last("open_run")).toMatchObject({ index: 0 });
    await answer("A **cat** and all the rest", { score: 0.5, completion_tokens: 7, tokens: [["A", -0.1]] });
    expect(document.activeElement).toBe(region());
    expect(region()?.getAttribute("aria-label")).toBe("Run 1");
    expect(region()?.querySelector("strong")?.textContent).toBe("cat");
    expect(region()?.textContent).toContain("score 0.5 · 7 tokens · eos");
    expect(region()?.textContent).toContain("Summarise · temperature 0 · seed 0");
    region()?.dispatchEvent(new KeyboardEvent("keydown", { key: "Escape", bubbles: true }));
    await settled();
    expect([region(), document.activeElement]).toEqual([undefined, grid()]);
  });

  it("is asked for again when it has ended", async () => {
    await draw({ 0: { state: "running", text: "Be" } });
    await press("Enter");
    await answer("Be", { state: "running", stop_reason: "" });
    model.receive({
      type: "sweep_changed",
      request_id: "",
      runs: columns({ 0: { text: "Because." } }),
      standing: STANDING,
    });
    await settled();
    await answer("Because.");
    expect(region()?.querySelector(".lw-markdown")?.textContent).toBe("Because.");
  });

  it("is inserted as the cell that makes it again", async () => {
    const writeText = vi.fn().mockResolvedValue(undefined);
    vi.stubGlobal("navigator", { ...navigator, clipboard: { writeText } });
    await draw({ 0: { text: "Because." } });
    await press("Enter");
    const insert = () => region()?.querySelector<HTMLButtonElement>('[aria-label="Insert as cell"]');
    expect(insert()).toBeNull();
    await answer("Because.", { code: "import llama_widgets as lw\n" });
    insert()?.click();
    await settled();
    expect(writeText).toHaveBeenCalledExactlyOnceWith("import llama_widgets as lw\n");
    vi.unstubAllGlobals();
  });

  it("says why it failed and why it has no score", async () => {
    await draw({ 0: { state: "failed", text: "The engine failed." } });
    await click(byRole("gridcell")[0]);
    await answer("", { state: "failed", error: "The engine failed. Ask again.", score_error: "ZeroDivisionError" });
    expect(region()?.textContent).toContain("Failed: The engine failed. Ask again.");
    expect(region()?.textContent).toContain("No score: ZeroDivisionError");
  });

  it("comes into sight below a grid that fills the page", async () => {
    const seen = vi.fn();
    Element.prototype.scrollIntoView = seen;
    await draw({ 0: { text: "a" } });
    await click(byRole("gridcell")[0]);
    expect(seen.mock.contexts).toEqual([region()]);
  });

  it("shows its beginning where the kernel is gone", async () => {
    await draw({ 0: { text: "Beginning" } });
    model.disconnect();
    await settled();
    await click(byRole("gridcell")[0]);
    expect(region()?.textContent).toContain("Beginning");
    expect(region()?.textContent).toContain("gone with the kernel");
  });
});

describe("two runs", () => {
  it("stand side by side with their differences marked", async () => {
    await draw({ 0: { text: "a" }, 2: { text: "b" } });
    await press(" ", "ArrowRight", " ");
    const [first, second] = model.sent.filter(({ type }) => type === "open_run").slice(-2);
    for (const [asked, text] of [
      [first, "The cat ran."],
      [second, "The dog ran."],
    ] as const) {
      model.sent.push(asked ?? {});
      await answer(text);
    }
    expect([...(region()?.querySelectorAll("mark") ?? [])].map((mark) => mark.textContent)).toEqual(["cat", "dog"]);
    expect(
      byRole("gridcell")
        .map((cell) => cell.getAttribute("aria-selected"))
        .slice(0, 3),
    ).toEqual(["true", "true", "false"]);
  });

  it("are chosen with buttons and clicks alone", async () => {
    await draw({ 0: { text: "a" }, 2: { text: "b" } });
    await click(byRole("gridcell")[0]);
    await answer("a");
    await click(button("Compare with…"));
    expect(el.textContent).toContain("Which run to compare with?");
    await click(byRole("gridcell")[1]);
    expect(region()?.getAttribute("aria-label")).toBe("Runs 1 and 3");
  });

  it("differ in words, not in letters", () => {
    const [left, right] = differences("A hungry cat, alone.", "A happy cat, alone!") ?? [];
    expect(left?.filter(({ own }) => own).map(({ text }) => text)).toEqual(["hungry", "."]);
    expect(right?.map(({ text }) => text).join("")).toBe("A happy cat, alone!");
  });
});

describe("the sweep", () => {
  it("is stopped and resumed", async () => {
    await draw();
    await click(button("Stop"));
    expect(model.last("abort")).toMatchObject({ target: "sweep" });
    const standing = { ...STANDING, state: "stopped", done: 3 };
    model.receive({ type: "sweep_changed", request_id: "", runs: columns({}), standing });
    await settled();
    await click(button("Resume"));
    expect(model.last("resume_sweep")).toBeDefined();
  });

  it("does not look as if it went on where the kernel is gone", async () => {
    await draw({ 0: { state: "running", text: "Beginning" } }, { standing: { done: 3, eta_s: 13, rate: 58 } });
    model.disconnect();
    await settled();
    expect(cells()[0]).toBe("seed 0 Beginning stopped");
    expect(el.querySelector(".lw-standing")?.textContent).toBe("3 of 8 runsstoppedResume");
  });

  it("is read out when it ends, and warns of what there is", async () => {
    await draw({}, { standing: { state: "done", done: 8, failed: 1, notices: ["1 run: it failed."] } });
    expect(el.querySelector('[aria-live="polite"]')?.textContent).toBe("Sweep done: 8 of 8 runs, 1 failed");
    expect(byRole("status").map((each) => each.textContent)).toContain("1 run: it failed.");
    expect(button("Try failed runs again")).toBeDefined();
  });

  it("has its scores by a dimension, with their mean", async () => {
    await draw({ 0: { score: 1 }, 1: { score: 0 }, 2: { score: 0.5 } });
    const plot = el.querySelector<HTMLDetailsElement>(".lw-scores");
    if (plot) plot.open = true;
    plot?.dispatchEvent(new Event("toggle"));
    await settled();
    const lines = [...el.querySelectorAll(".lw-plot tbody tr")].map((row) =>
      [...row.children].map((c) => c.textContent),
    );
    expect(lines).toEqual([
      ["temperature 0", "", "0.5 ± 0.707", "2"],
      ["temperature 0.7", "", "0.5 ± 0", "1"],
    ]);
  });

  it("gives its table to be copied", async () => {
    const written = vi.fn(async (_: string) => {});
    vi.stubGlobal("navigator", { clipboard: { writeText: written } });
    await draw();
    await click(button("Table"));
    await click(byRole("menuitem").find((item) => item.textContent === "Copy as CSV"));
    model.receive({ type: "sweep_table", request_id: model.last("give_table")?.request_id, text: "index,text\r\n" });
    await settled();
    expect(written).toHaveBeenCalledWith("index,text\r\n");
    vi.unstubAllGlobals();
  });
});
