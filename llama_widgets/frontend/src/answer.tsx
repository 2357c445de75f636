// AnswerView: one answer while it is made, in the output of a cell. What stays there at its end is plain Markdown.

import type { AnyModel, InitializeProps, RenderProps } from "@anywidget/types";
import { Settling } from "./answer/settled";
import { AnswerView } from "./answer/view";
import { ChatSession } from "./chat/session";
import type { AnswerTraits, ChatTraits } from "./messages";
import { show } from "./view";
import { newId } from "./wire";

export default () => {
  let session: ChatSession;
  let settling: Settling;
  return {
    initialize({ model, signal }: InitializeProps<AnswerTraits>) {
      session = new ChatSession(model as AnyModel as AnyModel<ChatTraits>, signal);
      session.fixed = true;
      settling = new Settling(model, () => session.send({ type: "shown", request_id: newId() }), signal);
      const { store } = session;
      const unsubscribe = store.subscribe(() => {
        if (store.state.gone) settling.broken(store.state.turns.map(({ content }) => content).join("\n\n"));
      });
      signal.addEventListener("abort", unsubscribe);
    },
    render({ el, signal }: RenderProps<AnswerTraits>) {
      settling.drawn(signal);
      show(el, <AnswerView session={session} />, signal);
    },
  };
};
