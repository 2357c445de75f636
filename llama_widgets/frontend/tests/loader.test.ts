import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import loader from "../src/loader";
import { MockModel, settled } from "./mocks";

// What the kernel would send: it notes what it is asked to do, and how often it is evaluated.
const CODE = `
  globalThis.evaluated += 1;
  export default () => {
    const seen = [];
    return {
      initialize({ model }) { model.on("msg:custom", (message) => seen.push(message)); },
      render({ el }) { el.textContent = "drawn " + seen.join(" "); },
    };
  };`;

const page = globalThis as { evaluated?: number; __llama_widgets?: Record<string, unknown> };
let ending: AbortController;
let versions = 0;

beforeEach(() => {
  ending = new AbortController();
  page.evaluated = 0;
  versions += 1;
  // jsdom has no Blob URLs, and Node.js imports none.
  vi.stubGlobal("Blob", function (this: { text: string }, [text]: [string]) {
    this.text = text;
  });
  URL.createObjectURL = (blob) =>
    `data:text/javascript,${encodeURIComponent((blob as unknown as { text: string }).text)}//${versions}`;
});
afterEach(() => {
  ending.abort();
  vi.unstubAllGlobals();
  vi.useRealTimers();
  document.head.replaceChildren();
});

/** A kernel with a model that holds the code, and what makes widgets that refer to it. */
function kernel(name: string, get_model?: (id: string) => Promise<unknown>) {
  const bundle = new MockModel({ code: CODE, css: ".lw {}" });
  const manager = { get_model: vi.fn(get_model ?? (async () => bundle.as)) };
  return {
    manager,
    async widget() {
      const model = new MockModel({ _bundle: `IPY_MODEL_v${versions}-${name}` }, { manager });
      const made = loader();
      await made.initialize({ model: model.as, signal: ending.signal } as never);
      const view = async () => {
        const el = document.createElement("div");
        await made.render({ model: model.as, el, signal: ending.signal } as never);
        return el.textContent;
      };
      return { model, view };
    },
  };
}

/** A kernel in a page that does not know its widgets until `restore`, and then the code if it is `found`. */
function restoring(found: () => boolean) {
  const bundle = new MockModel({ code: CODE, css: "" });
  let tell = () => {};
  const { widget, manager } = kernel("a", async () => {
    const known = host.restoredStatus;
    if (found() && known) return bundle.as;
    throw new Error("widget model not found");
  });
  const host = Object.assign(manager, {
    restoredStatus: false,
    restored: { connect: (slot: () => void) => (tell = slot) },
  });
  const restore = () => {
    host.restoredStatus = true;
    tell();
  };
  return { widget, restore };
}

/** Makes a widget that does not find its code for a time, and begins to draw it. */
async function drawnLate(widget: ReturnType<typeof kernel>["widget"], ms: number) {
  vi.useFakeTimers();
  const made = widget();
  await vi.advanceTimersByTimeAsync(ms);
  const { view } = await made;
  vi.useRealTimers();
  return { drawn: view() };
}

describe("the loader", () => {
  it("asks for the code once for all widgets, and evaluates it once", async () => {
    const { widget, manager } = kernel("a");
    const widgets = await Promise.all(Array.from({ length: 50 }, widget));
    widgets.push(await widget());
    for (const { view } of widgets) expect(await view()).toBe("drawn ");
    expect(manager.get_model.mock.calls).toEqual([[`v${versions}-a`]]);
    expect(page.evaluated).toBe(1);
    expect(document.head.querySelectorAll("style")).toHaveLength(1);
  });

  it("does not evaluate the same code of another kernel again", async () => {
    await kernel("a").widget();
    const other = kernel("b");
    expect(await (await other.widget()).view()).toBe("drawn ");
    expect(other.manager.get_model).not.toHaveBeenCalled();
    expect(page.evaluated).toBe(1);
  });

  it("gives each model a widget of its own, and its views the same", async () => {
    const { widget } = kernel("a");
    const [first, second] = [await widget(), await widget()];
    first.model.receive("hello");
    expect([await first.view(), await first.view(), await second.view()]).toEqual([
      "drawn hello",
      "drawn hello",
      "drawn ",
    ]);
  });

  it("says what to do where the code is gone, and tries again with the next widget", async () => {
    vi.spyOn(console, "error").mockImplementation(() => {});
    let there = false;
    const bundle = new MockModel({ code: CODE, css: "" });
    const { widget } = kernel("a", async () => {
      if (!there) throw new Error("widget model not found");
      return bundle.as;
    });
    expect(await (await widget()).view()).toContain("Run the cell again");
    there = true;
    expect(await (await widget()).view()).toBe("drawn ");
  });

  it.each([true, false])("waits in a page that does not know all widgets yet, found: %s", async (found) => {
    vi.spyOn(console, "error").mockImplementation(() => {});
    const { widget, restore } = restoring(() => found);
    const { drawn } = await drawnLate(widget, 60_000);
    restore();
    expect(await drawn).toBe(found ? "drawn " : "llama_widgets: its code is gone. Run the cell again.");
  });

  it("asks again if the page gets to know all widgets while it asks", async () => {
    const { widget, restore } = restoring(() => {
      restore(); // before the answer that there is no such model is heard
      return true;
    });
    expect(await (await widget()).view()).toBe("drawn ");
  });

  it("does not let widgets of a kernel that is gone stop those of another", async () => {
    const gone = kernel("a", () => new Promise(() => {}));
    vi.useFakeTimers();
    const waiting = gone.widget();
    expect(await (await kernel("b").widget()).view()).toBe("drawn ");
    await vi.runAllTimersAsync();
    await waiting;
  });

  it("says what to do where widgets cannot reach each other", async () => {
    vi.spyOn(console, "error").mockImplementation(() => {});
    const model = new MockModel({ _bundle: `IPY_MODEL_v${versions}-a` });
    const [made, el] = [loader(), document.createElement("div")];
    await made.initialize({ model: model.as, signal: ending.signal } as never);
    await made.render({ model: model.as, el, signal: ending.signal } as never);
    expect(el.textContent).toContain("Use JupyterLab");
  });

  it("lets anywidget go on before its patience ends, and draws when the code has come", async () => {
    let arrive = (_: unknown) => {};
    const { widget } = kernel("a", () => new Promise((done) => (arrive = done)));
    const { drawn } = await drawnLate(widget, 1600);
    arrive(new MockModel({ code: CODE, css: "" }).as);
    expect(await drawn).toBe("drawn ");
  });

  it("draws nothing into a view that was closed meanwhile", async () => {
    let arrive = (_: unknown) => {};
    const bundle = new Promise((done) => {
      arrive = done;
    });
    const model = new MockModel({ _bundle: `IPY_MODEL_v${versions}-a` }, { manager: { get_model: () => bundle } });
    const [made, el, closing] = [loader(), document.createElement("div"), new AbortController()];
    const initialized = made.initialize({ model: model.as, signal: ending.signal } as never);
    const drawn = made.render({ model: model.as, el, signal: closing.signal } as never);
    closing.abort();
    arrive(new MockModel({ code: CODE, css: "" }).as);
    await Promise.all([initialized, drawn]);
    expect(el.textContent).toBe("");
  });

  it("makes nothing of a widget that was closed meanwhile", async () => {
    let arrive = (_: unknown) => {};
    const { widget } = kernel("a", () => new Promise((done) => (arrive = done)));
    const made = widget();
    ending.abort();
    arrive(new MockModel({ code: CODE, css: "" }).as);
    const { model, view } = await made;
    await settled();
    expect(await view()).toBe("");
    expect(model.listeners).toBe(0);
  });
});
