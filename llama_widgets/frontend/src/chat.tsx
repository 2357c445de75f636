// ChatPanel: a conversation with a local model.

import type { AnyModel, Host, InitializeProps, RenderProps } from "@anywidget/types";
import { ChatPanel, type Child } from "./chat/panel";
import { ChatSession } from "./chat/session";
import type { ChatTraits, SelectorTraits } from "./messages";
import { Transport } from "./transport";
import { show } from "./view";

// A factory, called once per model: what `initialize` makes is shared by the views of that model and of no other.
export default () => {
  let session: ChatSession;
  return {
    initialize({ model, signal }: InitializeProps<ChatTraits>) {
      session = new ChatSession(model, signal);
    },
    render({ model, el, signal, host }: RenderProps<ChatTraits>) {
      const selector = childOf(model, host, signal).catch((error) => {
        console.warn("[llama_widgets] no selector", error);
        return null;
      });
      show(el, <ChatPanel session={session} selector={selector} />, signal);
    },
  };
};

async function childOf(model: AnyModel<ChatTraits>, host: Host | undefined, signal: AbortSignal): Promise<Child> {
  const id = await selectorId(model, signal);
  const child = host?.getModel
    ? await host.getModel<SelectorTraits>(`anywidget:${id}`)
    : await model.widget_manager.get_model<SelectorTraits>(id);
  const transport = Transport.listening(child as AnyModel, signal, { id });
  return { model: child, send: (message) => transport.send(message) };
}

/** The kernel makes the panel first and its selector then, so a view may be drawn before the trait is there. */
function selectorId(model: AnyModel<ChatTraits>, signal: AbortSignal): Promise<string> {
  return new Promise((resolve) => {
    const look = () => {
      const id = /^(?:IPY_MODEL_|anywidget:)(.+)$/.exec(String(model.get("selector")))?.[1];
      if (id) resolve(id);
    };
    model.on("change:selector", look);
    signal.addEventListener("abort", () => model.off("change:selector", look));
    look();
  });
}
