// What every widget's `render` does: a root element that keeps the notebook's shortcuts out, drawn until the signal ends.

import type { ComponentChild } from "preact";
import { render } from "preact";

export function show(el: HTMLElement, view: ComponentChild, signal: AbortSignal): void {
  const root = document.createElement("div");
  root.className = "lw";
  // Shift+Enter in a widget would otherwise run the cell again and destroy the widget.
  root.addEventListener("keydown", (event) => event.stopPropagation(), { signal });
  el.append(root);
  render(view, root);
  signal.addEventListener("abort", () => {
    render(null, root);
    root.remove();
  });
}
