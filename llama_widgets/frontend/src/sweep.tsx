// SweepGrid: the runs of a sweep as they come, one cell beside the other.

import type { AnyModel, InitializeProps, RenderProps } from "@anywidget/types";
import type { SweepTraits } from "./sweep/messages";
import { SweepSession } from "./sweep/session";
import { SweepGrid } from "./sweep/view";
import { Connected } from "./ui";
import { show } from "./view";

export default () => {
  let session: SweepSession;
  return {
    initialize({ model, signal }: InitializeProps<SweepTraits>) {
      session = new SweepSession(model, signal);
    },
    render({ model, el, signal }: RenderProps<SweepTraits>) {
      const view = (
        <div class="lw-box lw-sweep">
          <Connected model={model as AnyModel}>
            <SweepGrid session={session} />
          </Connected>
        </div>
      );
      show(el, view, signal);
    },
  };
};
