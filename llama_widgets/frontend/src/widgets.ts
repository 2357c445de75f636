// All widgets: the first in one bundle, others in parts that come when a page first shows one. Which of them a model is,
// it says itself.

import type { InitializeProps, RenderProps } from "@anywidget/types";
import answer from "./answer";
import { Channel } from "./channel";
import chat from "./chat";
import download from "./download";
import type { WidgetPart } from "./markdown/parts";
import selector from "./selector";
import { newId } from "./wire";

export * from "./core";

export interface Widget {
  initialize(props: InitializeProps): void;
  render(props: RenderProps): void;
}

/** By the names of the classes in Python. */
const WIDGETS: Record<string, () => Widget> = {
  AnswerView: answer,
  ChatPanel: chat,
  DownloadProgress: download,
  ModelSelector: selector,
};

/** Those that are parts. */
const LATER: Record<string, WidgetPart> = { Compare: "compare", SweepGrid: "sweep", TokenView: "tokens" };

function later(name: WidgetPart): Widget {
  let ready: Promise<Widget>;
  return {
    initialize(props) {
      ready = new Promise((resolve) => {
        const fetching = new AbortController();
        const { signal } = fetching;
        props.signal.addEventListener("abort", () => fetching.abort());
        const channel = new Channel({
          model: props.model,
          signal,
          table: {},
          onMessage: () => {},
          onReady: () => signal.aborted || channel.send({ type: "part", request_id: newId(), name }),
        });
        const look = () => {
          const module = channel.parts.get(name, look);
          if (!module || signal.aborted) return;
          fetching.abort();
          const widget = module.default();
          widget.initialize(props);
          resolve(widget);
        };
        look();
      });
    },
    render(props) {
      void ready.then((widget) => {
        if (!props.signal.aborted) widget.render(props);
      });
    },
  };
}

export default (): Widget => {
  let widget: Widget | undefined;
  return {
    initialize(props) {
      const name = props.model.get("_widget");
      const part = LATER[name];
      widget = part ? later(part) : WIDGETS[name]?.();
      widget?.initialize(props);
    },
    render(props) {
      widget?.render(props);
    },
  };
};
