import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import chat from "../src/chat";
import { facts, fromText, matching, same, toText } from "../src/chat/settings/values";
import type { ChatTraits, Setting } from "../src/messages";
import { MockModel, settled } from "./mocks";

const setting = (name: string, label: string, more: Partial<Setting> = {}): Setting => ({
  name,
  label,
  help: `What ${name} does.`,
  kind: "number",
  default: null,
  low: undefined,
  high: undefined,
  step: undefined,
  options: undefined,
  empty: undefined,
  locked: undefined,
  ...more,
});
const TEMPERATURE = setting("temperature", "Temperature", { default: 0.8, low: 0, high: 5, step: 0.05 });
const MAX = setting("max_tokens", "Max tokens", { low: 1, high: null, empty: true });
const STOP = setting("stop_strings", "Stop texts", { kind: "lines", default: [] });
const BIAS = setting("logit_bias", "Logit bias", { kind: "json", default: {} });
const SYSTEM = setting("system", "System prompt", { kind: "text", empty: true });
const CONTEXT = setting("n_ctx", "Context size", { default: "auto", low: 16, high: 1000 });
const THINKING = setting("thinking", "Thinking", { kind: "choice", default: "auto", options: ["auto", true, false] });
const EXACT = setting("reproducible", "Reproducible", { kind: "flag", default: false });
const GROUPS = [
  { title: "", settings: [SYSTEM, TEMPERATURE, MAX, THINKING, CONTEXT] },
  { title: "The rest", settings: [STOP, BIAS, EXACT] },
];
const DEFAULTS = Object.fromEntries(GROUPS.flatMap(({ settings }) => settings.map((s) => [s.name, s.default])));
const PRESETS = [
  { name: "Cold", built_in: true, settings: { temperature: 0 } },
  { name: "Usual", built_in: true, settings: { temperature: 0.8 } },
  { name: "mine", built_in: false, settings: { temperature: 0, max_tokens: 5 } },
];

describe("what fields show", () => {
  it.each([
    [TEMPERATURE, 0.2, "0.2"],
    [MAX, null, ""],
    [CONTEXT, "auto", "auto"],
    [STOP, ["\n\n", " a\\n", "\tb "], "\\n\\n\n a\\\\n\n\\tb "],
    [STOP, [], ""],
    [BIAS, { " yes": -100 }, '{\n  " yes": -100\n}'],
    [BIAS, {}, ""],
    [SYSTEM, "One\n Two ", "One\n Two "],
    [SYSTEM, null, ""],
  ])("$name and back: $1", (each, value, text) => {
    expect(toText(each, value)).toBe(text);
    expect(fromText(each, text)).toEqual(value);
  });

  it.each([
    [TEMPERATURE, " 1e-1 ", 0.1],
    [TEMPERATURE, "warm", "warm"],
    [TEMPERATURE, "", ""],
    [TEMPERATURE, "1e999", "1e999"],
    [BIAS, "{1}", "{1}"],
    [MAX, " ", null],
  ])("%s takes %j, for the kernel to judge", (each, text, value) => {
    expect(fromText(each, text)).toEqual(value);
  });

  it.each([
    [TEMPERATURE, "0 to 5, default 0.8."],
    [MAX, "At least 1, default empty."],
    [CONTEXT, "16 to 1,000, default auto."],
    [STOP, ""],
  ])("tells ranges: $1", (each, text) => expect(facts(each)).toBe(text));

  it("finds the preset that is in effect, and rather the one that says more or was chosen", () => {
    expect(matching(PRESETS, DEFAULTS, "")?.name).toBe("Usual");
    expect(matching(PRESETS, { ...DEFAULTS, temperature: 0, max_tokens: 5 }, "")?.name).toBe("mine");
    expect(matching(PRESETS, { ...DEFAULTS, temperature: 0, max_tokens: 5 }, "Cold")?.name).toBe("Cold");
    expect(matching(PRESETS, { ...DEFAULTS, temperature: 1 }, "Cold")).toBeUndefined();
    expect(same([1], [1.0])).toBe(true);
  });
});

let ending: AbortController;
let model: MockModel;
let el: HTMLElement;

const named = (name: string) => {
  const label = [...el.querySelectorAll("label")].find((each) => each.textContent === name);
  const found = label && el.querySelector(`#${label.htmlFor}`);
  return found as HTMLInputElement;
};
const button = (name: string) =>
  [...el.querySelectorAll("button")].find(
    (each) => (each.getAttribute("aria-label") ?? each.textContent?.trim()) === name,
  ) as HTMLButtonElement;
const click = async (name: string) => {
  button(name).click();
  await settled();
};
const receive = async (message: object) => {
  model.receive(message);
  await settled();
};
const type = async (field: HTMLInputElement, text: string) => {
  field.value = text;
  field.dispatchEvent(new Event("input", { bubbles: true }));
  await settled();
  field.dispatchEvent(new Event("change", { bubbles: true }));
  await settled();
};
const options = () => model.last("configure")?.options;
const said = (field: HTMLInputElement) =>
  (field.getAttribute("aria-describedby") ?? "")
    .split(" ")
    .map((id) => el.querySelector(`#${id}`)?.textContent)
    .join(" | ");
const refuse = (request_id: unknown, text: string) =>
  receive({ type: "error", request_id, code: "parameter", message: text, hint: "Do.", recoverable: true });

function withDrawer(): void {
  beforeEach(async () => {
    ending = new AbortController();
    const traits: Partial<ChatTraits> = { model: "m", state: "ready", loaded: null, progress: null, error: null };
    model = new MockModel({ ...traits, notices: [], running: "", height: "", selector: "", stale: false, ...DEFAULTS });
    const widget = chat();
    widget.initialize({ model: model.as, signal: ending.signal } as never);
    el = document.body.appendChild(document.createElement("div"));
    widget.render({ model: model.as, el, signal: ending.signal } as never);
    await settled();
    await click("Settings");
    const request_id = model.last("show_settings")?.request_id;
    await receive({ type: "settings", request_id, presets: PRESETS, groups: JSON.parse(JSON.stringify(GROUPS)) });
  });
  afterEach(() => {
    ending.abort();
    document.body.replaceChildren();
  });
}

describe("the drawer", () => {
  withDrawer();

  it("asks what there is, shows it, and is a disclosure", async () => {
    expect(button("Settings").getAttribute("aria-expanded")).toBe("true");
    expect(named("Temperature").value).toBe("0.8");
    expect(said(named("Temperature"))).toBe("What temperature does. 0 to 5, default 0.8. | ");
    expect(el.querySelector("details")?.open).toBe(false);
    await click("Settings");
    expect(named("Temperature")).toBeFalsy();
    expect(button("Settings").getAttribute("aria-expanded")).toBe("false");
  });

  it("shows what is set for a class, and that it cannot be changed", async () => {
    const settings = [{ ...TEMPERATURE, default: 0.3, locked: "Set for this class." }, MAX];
    const groups = JSON.parse(JSON.stringify([{ title: "", settings }]));
    await receive({ type: "settings", request_id: "x", presets: [], groups });
    model.change({ temperature: 0.3 });
    await settled();
    expect(named("Temperature").disabled).toBe(true);
    expect(el.querySelector<HTMLInputElement>('input[type="range"]')?.disabled).toBe(true);
    expect(said(named("Temperature"))).toContain("Set for this class.");
    expect(named("Max tokens").disabled).toBe(false);
  });

  it("sets a value, which is shown when the kernel has it, marked, and can be reset", async () => {
    await type(named("Temperature"), "0.2");
    expect(options()).toEqual({ temperature: 0.2 });
    expect(button("Reset Temperature")).toBeUndefined();
    model.change({ temperature: 0.2 });
    await receive({ type: "configured", request_id: model.last("configure")?.request_id });
    expect(named("Temperature").value).toBe("0.2");
    await click("Reset Temperature");
    expect(options()).toEqual({ temperature: 0.8 });
    expect(document.activeElement).toBe(named("Temperature"));
  });

  it("keeps what was refused, says why beside it, and lets it be corrected", async () => {
    await type(named("Temperature"), "9");
    await refuse(model.last("configure")?.request_id, "Too hot.");
    const field = named("Temperature");
    expect([field.value, field.getAttribute("aria-invalid")]).toEqual(["9", "true"]);
    expect(said(field)).toContain("Too hot. Do.");
    await type(field, "0.8"); // as it is: nothing is asked
    expect(model.sent.filter((message) => message.type === "configure")).toHaveLength(1);
    expect([said(field).includes("Too hot"), field.getAttribute("aria-invalid")]).toEqual([false, null]);
  });

  it("shows what Python sets, but does not take away what is being typed", async () => {
    model.change({ temperature: 0.3, thinking: false });
    await settled();
    expect([named("Temperature").value, named("Thinking").value]).toEqual(["0.3", "false"]);
    named("System prompt").focus();
    named("System prompt").value = "You are";
    named("System prompt").dispatchEvent(new Event("input", { bubbles: true }));
    model.change({ system: "Other", max_tokens: 7 });
    await settled();
    expect([named("System prompt").value, named("Max tokens").value]).toEqual(["You are", "7"]);
  });

  it("moves the slider with the field, and sets its value when it is let go", async () => {
    const slider = el.querySelector<HTMLInputElement>('input[type="range"]') as HTMLInputElement;
    expect([slider.getAttribute("aria-label"), slider.value]).toEqual(["Temperature", "0.8"]);
    slider.value = "1.5";
    slider.dispatchEvent(new Event("input", { bubbles: true }));
    await settled();
    expect([named("Temperature").value, options()]).toEqual(["1.5", undefined]);
    slider.dispatchEvent(new Event("change", { bubbles: true }));
    await settled();
    expect(options()).toEqual({ temperature: 1.5 });
  });

  it("sets choices and flags", async () => {
    const thinking = named("Thinking");
    thinking.value = "true";
    thinking.dispatchEvent(new Event("change", { bubbles: true }));
    await settled();
    expect(options()).toEqual({ thinking: true });
    named("Reproducible").click();
    await settled();
    expect(options()).toEqual({ reproducible: true });
  });

  it("counts what is changed below a heading, and resets all at once", async () => {
    expect(button("Reset all").disabled).toBe(true);
    model.change({ stop_strings: ["x"], temperature: 1 });
    await settled();
    expect(el.querySelector("summary")?.textContent).toBe("The rest · 1 changed");
    await click("Reset all");
    expect(options()).toEqual({ temperature: 0.8, stop_strings: [] });
  });

  it("says that the model will be loaded anew", async () => {
    expect(said(named("Context size"))).not.toContain("anew");
    model.change({ stale: true });
    await settled();
    expect(said(named("Context size"))).toContain("The model will be loaded anew with the next question.");
  });

  it("closes on Escape, which stops nothing then, and gives the focus back", async () => {
    model.receive({ type: "turn", request_id: "r", turn: { id: "a", role: "assistant", content: "" } });
    named("Temperature").focus();
    const press = new KeyboardEvent("keydown", { key: "Escape", bubbles: true, cancelable: true });
    named("Temperature").dispatchEvent(press);
    await settled();
    expect(document.activeElement).toBe(button("Settings"));
    expect([named("Temperature"), model.last("abort")]).toEqual([undefined, undefined]);
  });

  it("can do nothing any more when the kernel is gone", async () => {
    model.disconnect();
    await settled();
    expect(named("Temperature").matches(":disabled")).toBe(true);
  });
});

describe("presets", () => {
  withDrawer();

  it("are chosen, and the one in effect is shown", async () => {
    const select = named("Preset");
    expect(select.value).toBe("Usual");
    expect(button("Delete preset").disabled).toBe(true);
    select.value = "Cold";
    select.dispatchEvent(new Event("change", { bubbles: true }));
    await settled();
    expect(model.last("apply_preset")).toMatchObject({ name: "Cold" });
    model.change({ temperature: 1.7 });
    await settled();
    expect([named("Preset").value, named("Preset").textContent]).toEqual(["", "Own settingsColdUsualmine"]);
  });

  it("are saved under a name, replaced and deleted", async () => {
    await click("Save as…");
    const name = el.querySelector('[aria-label="Name of the preset"]') as HTMLInputElement;
    expect(document.activeElement).toBe(name);
    expect(button("Save").disabled).toBe(true);
    await type(name, " mine ");
    await click("Replace");
    expect(model.last("save_preset")).toMatchObject({ name: "mine" });
    await refuse(model.last("save_preset")?.request_id, "Disk full.");
    expect(el.querySelector('[role="alert"]')?.textContent).toBe("Disk full. Do.");
    expect(name.value).toBe(" mine "); // nothing is lost
    await click("Replace");
    model.change({ temperature: 0, max_tokens: 5 });
    await receive({ type: "settings", request_id: model.last("save_preset")?.request_id, presets: PRESETS });
    expect([named("Preset").value, button("Replace")]).toEqual(["mine", undefined]);
    await click("Delete preset");
    expect(model.last("delete_preset")).toMatchObject({ name: "mine" });
    await receive({ type: "settings", request_id: "another view's", presets: PRESETS.slice(0, 2) });
    expect(named("Preset").textContent).toBe("ColdUsual");
  });

  it("come from a file, and what cannot be read is not sent", async () => {
    const chooser = el.querySelector<HTMLInputElement>('input[type="file"]') as HTMLInputElement;
    const choose = async (file: File) => {
      Object.defineProperty(chooser, "files", { value: [file], configurable: true });
      chooser.dispatchEvent(new Event("change", { bubbles: true }));
      await settled();
    };
    await choose(new File([new Uint8Array([0xff, 0xfe, 0xff])], "bad.json"));
    expect(el.querySelector('[role="alert"]')?.textContent).toContain(
      "bad.json is not a preset: it is not UTF-8 text.",
    );
    await choose(new File(["x".repeat(1_000_001)], "big.json"));
    expect(el.querySelector('[role="alert"]')?.textContent).toContain("too large");
    expect(model.last("import_preset")).toBeUndefined();
    await choose(new File(['{"temperature": 0}'], "good.json"));
    expect(model.last("import_preset")).toMatchObject({ file: "good.json", text: '{"temperature": 0}' });
  });

  it("are given away as a file", async () => {
    let blob: Blob | undefined;
    const names: string[] = [];
    URL.createObjectURL = (made) => {
      blob = made as Blob;
      return "blob:x";
    };
    vi.spyOn(HTMLAnchorElement.prototype, "click").mockImplementation(function (this: HTMLAnchorElement) {
      names.push(this.download);
    });
    await click("Export");
    await receive({ type: "preset_file", request_id: model.last("export_preset")?.request_id, text: "{}\n" });
    expect(names).toEqual(["Usual.json"]);
    expect(await blob?.text()).toBe("{}\n");
  });
});
