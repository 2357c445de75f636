// What each widget carries: it finds the code of all of them, which one model per kernel holds, and hands over to it.
// Twin: ../../widgets/bundle.py.

// biome-ignore-all lint/suspicious/noAssignInExpressions: short, as it comes with every widget

import type { AnyModel, InitializeProps, RenderProps } from "@anywidget/types";
import type { Widget } from "./widgets";

/** anywidget waits 2 s and then drops all messages for good. Those that are lost after this, a view asks for again. */
const PATIENCE_MS = 1500;

type Traits = { _bundle: string };
type Bundle = { code: string; css: string };
type Code = Promise<{ default: () => Widget }>;
type Page = { __llama_widgets?: Record<string, Code> };
/** What JupyterLab's manager has beside the documented. */
type Manager = NonNullable<AnyModel["widget_manager"]> & {
  restoredStatus?: boolean;
  restored: { connect(slot: (manager: unknown) => void): void };
};

// By a hash of the code, so that it is evaluated once per page, whichever kernel brought it; and while it is on its way
// by the id of the model that has it, so that the widgets of one kernel wait and fail together.
const codes: Record<string, Code> = ((globalThis as Page).__llama_widgets ??= {});

function load(model: AnyModel<Traits>): Code {
  const id = model.get("_bundle").slice("IPY_MODEL_".length);
  const hash = id.split("-")[0] as string;
  return (
    codes[hash] ?? (codes[id] ??= fetchCode(model.widget_manager as Manager, id, hash).finally(() => delete codes[id]))
  );
}

async function fetchCode(manager: Manager, id: string, hash: string): Code {
  if (!manager?.get_model) throw Error("this front end keeps widgets apart. Use JupyterLab.");
  const find = () => manager.get_model<Bundle>(id).catch(() => undefined);
  let bundle = await find();
  if (!bundle) {
    // A page that was just loaded hears of new widgets before it knows those that were there before it: it has to ask
    // for them, and a kernel that runs a cell answers only then. JupyterLab says when it has them, maybe just now.
    if (manager.restoredStatus === false) await new Promise((done) => manager.restored.connect(done));
    bundle = await find();
  }
  if (!bundle) throw Error("its code is gone. Run the cell again.");
  const style = document.createElement("style");
  style.append(bundle.get("css"));
  document.head.append(style);
  return (codes[hash] ??= import(URL.createObjectURL(new Blob([bundle.get("code")], { type: "text/javascript" }))));
}

export default () => {
  let widget: Widget | undefined;
  let ready: Promise<void>;
  return {
    initialize(props: InitializeProps<Traits>) {
      ready = load(props.model).then((code) => {
        if (props.signal.aborted) return;
        widget = code.default();
        widget.initialize(props);
      });
      return Promise.race([ready.catch(() => {}), new Promise((late) => setTimeout(late, PATIENCE_MS))]);
    },
    render: (props: RenderProps<Traits>) =>
      ready
        .then(() => props.signal.aborted || widget?.render(props))
        .catch((error) => {
          console.error(error);
          props.el.textContent = `llama_widgets: ${error.message}`;
        }),
  };
};
