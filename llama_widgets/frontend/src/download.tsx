// DownloadProgress: what is being downloaded.

import type { AnyModel, InitializeProps, RenderProps } from "@anywidget/types";
import { DownloadList } from "./download/row";
import { useTraits } from "./hooks";
import type { DownloadTraits } from "./messages";
import { Transport } from "./transport";
import { Connected } from "./ui";
import { show } from "./view";

function DownloadProgress({ model, transport }: { model: AnyModel<DownloadTraits>; transport: Transport }) {
  const { downloads } = useTraits(model, "downloads");
  return (
    <div class="lw-downloads">
      <DownloadList downloads={downloads} send={(message) => transport.send(message)} />
      {downloads.length === 0 && <p class="lw-empty lw-muted">Nothing is being downloaded.</p>}
    </div>
  );
}

export default () => {
  let transport: Transport;
  return {
    initialize({ model, signal }: InitializeProps<DownloadTraits>) {
      transport = Transport.listening(model as AnyModel, signal);
    },
    render({ model, el, signal }: RenderProps<DownloadTraits>) {
      const view = (
        <div class="lw-box">
          <Connected model={model as AnyModel}>
            <DownloadProgress model={model} transport={transport} />
          </Connected>
        </div>
      );
      show(el, view, signal);
    },
  };
};
