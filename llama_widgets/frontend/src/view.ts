// What every widget's `render` does: a root element that keeps the notebook's shortcuts out, drawn until the signal ends.

import type { ComponentChild } from "preact";
import { render } from "preact";

/** What Ctrl or ⌘ makes of these concerns the page as a whole: saving, finding, side bars, the palette of commands. */
const OF_THE_PAGE = /^[bfgjsBCFGS]$/;

export function show(el: HTMLElement, view: ComponentChild, signal: AbortSignal): void {
  const root = document.createElement("div");
  root.className = "lw";
  // Shift+Enter in a widget would otherwise run the cell again and destroy the widget, Ctrl+Z bring back a deleted cell.
  const keep = (event: KeyboardEvent) => {
    const { key, ctrlKey, metaKey, altKey } = event;
    if (!(ctrlKey || metaKey) || altKey || !OF_THE_PAGE.test(key)) event.stopPropagation();
  };
  root.addEventListener("keydown", keep, { signal });
  el.append(root);
  render(view, root);
  signal.addEventListener("abort", () => {
    render(null, root);
    root.remove();
  });
}
