// AnswerView: one answer while it is made, in the output of a cell. What stays there at its end is plain Markdown.

import type { InitializeProps, RenderProps } from "@anywidget/types";
import { AnswerView } from "./answer/view";
import { ChatSession } from "./chat/session";
import type { ChatTraits } from "./messages";
import { show } from "./view";

export default () => {
  let session: ChatSession;
  return {
    initialize({ model, signal }: InitializeProps<ChatTraits>) {
      session = new ChatSession(model, signal);
      session.fixed = true;
    },
    render({ el, signal }: RenderProps<ChatTraits>) {
      show(el, <AnswerView session={session} />, signal);
    },
  };
};
