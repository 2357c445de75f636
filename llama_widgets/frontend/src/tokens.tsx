// TokenView: what a text, a model and an answer are made of.

import type { InitializeProps, RenderProps } from "@anywidget/types";
import type { TokenTraits } from "./tokens/messages";
import { TokenSession } from "./tokens/session";
import { TokenView } from "./tokens/view";
import { show } from "./view";

export default () => {
  let session: TokenSession;
  return {
    initialize({ model, signal }: InitializeProps<TokenTraits>) {
      session = new TokenSession(model, signal);
    },
    render({ el, signal }: RenderProps<TokenTraits>) {
      show(el, <TokenView session={session} />, signal);
    },
  };
};
