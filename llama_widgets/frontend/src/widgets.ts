// All widgets in one bundle. Which of them a model is, it says itself.

import type { InitializeProps, RenderProps } from "@anywidget/types";
import chat from "./chat";
import download from "./download";
import selector from "./selector";

export interface Widget {
  initialize(props: InitializeProps): void;
  render(props: RenderProps): void;
}

/** By the names of the classes in Python. */
const WIDGETS: Record<string, () => Widget> = {
  ChatPanel: chat,
  DownloadProgress: download,
  ModelSelector: selector,
};

export default (): Widget => {
  let widget: Widget | undefined;
  return {
    initialize(props) {
      widget = WIDGETS[props.model.get("_widget")]?.();
      widget?.initialize(props);
    },
    render(props) {
      widget?.render(props);
    },
  };
};
