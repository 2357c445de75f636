// Compare: one message to several models or settings, side by side.

import type { AnyModel, InitializeProps, RenderProps } from "@anywidget/types";
import { CompareSession } from "./compare/session";
import { CompareView } from "./compare/view";
import { show } from "./view";

export default () => {
  let session: CompareSession;
  return {
    initialize({ model, signal }: InitializeProps) {
      session = new CompareSession(model as AnyModel, signal);
    },
    render({ el, signal }: RenderProps) {
      show(el, <CompareView session={session} />, signal);
    },
  };
};
