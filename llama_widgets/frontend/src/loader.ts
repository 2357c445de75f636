// What each widget carries: it finds the code of all of them, which one model per kernel holds, and hands over to it.
// Twin: ../../widgets/bundle.py.

import type { AnyModel, InitializeProps, RenderProps } from "@anywidget/types";
import type { Widget } from "./widgets";

/** anywidget waits 2 s and then drops all messages for good. Those that are lost after this, a view asks for again. */
const PATIENCE_MS = 1500;

type Traits = { _bundle: string };
type Code = Promise<{ default: () => Widget }>;

// By a hash of the code, so that it is evaluated once per page, whichever kernel brought it; and while it is on its way
// by the id of the model that has it, so that the widgets of one kernel wait and fail together.
const page = globalThis as { __llama_widgets_code?: Record<string, Code> };
page.__llama_widgets_code ??= {};
const codes = page.__llama_widgets_code;

function load(model: AnyModel<Traits>): Code {
  const id = model.get("_bundle").slice("IPY_MODEL_".length);
  const hash = id.replace(/-.*/, "");
  if (!codes[hash]) codes[id] ??= fetchCode(model, id, hash).finally(() => delete codes[id]);
  return (codes[hash] ?? codes[id]) as Code;
}

async function fetchCode({ widget_manager }: AnyModel<Traits>, id: string, hash: string): Code {
  if (!widget_manager?.get_model) throw Error("this front end keeps widgets apart. Use JupyterLab.");
  const bundle = await widget_manager.get_model<{ code: string; css: string }>(id).catch(() => {
    throw Error("its code is gone with the kernel. Run the cell again.");
  });
  const style = document.createElement("style");
  style.textContent = bundle.get("css");
  document.head.append(style);
  codes[hash] ??= import(URL.createObjectURL(new Blob([bundle.get("code")], { type: "text/javascript" })));
  return codes[hash];
}

export default () => {
  let widget: Widget | undefined;
  let ready: Promise<void>;
  return {
    async initialize(props: InitializeProps<Traits>) {
      ready = load(props.model).then((code) => {
        if (props.signal.aborted) return;
        widget = code.default();
        widget.initialize(props);
      });
      const late = new Promise<void>((done) => setTimeout(done, PATIENCE_MS));
      await Promise.race([ready, late]).catch(() => undefined);
    },
    async render(props: RenderProps<Traits>) {
      try {
        await ready;
        if (!props.signal.aborted) widget?.render(props);
      } catch (error) {
        console.error(error);
        props.el.textContent = `llama_widgets: ${(error as Error).message}`;
      }
    },
  };
};
