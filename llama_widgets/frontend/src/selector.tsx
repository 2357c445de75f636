// ModelSelector: which model to talk to.

import type { AnyModel, InitializeProps, RenderProps } from "@anywidget/types";
import type { SelectorTraits } from "./messages";
import { ModelSelector } from "./selector/view";
import { Transport } from "./transport";
import { Connected } from "./ui";
import { show } from "./view";

export default () => {
  let transport: Transport;
  return {
    initialize({ model, signal }: InitializeProps<SelectorTraits>) {
      transport = Transport.listening(model as AnyModel, signal);
    },
    render({ model, el, signal }: RenderProps<SelectorTraits>) {
      const view = (
        <div class="lw-box">
          <Connected model={model as AnyModel}>
            <ModelSelector model={model} send={(message) => transport.send(message)} />
          </Connected>
        </div>
      );
      show(el, view, signal);
    },
  };
};
