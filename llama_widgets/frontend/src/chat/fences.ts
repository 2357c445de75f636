// What the buttons of a block of code do.

import type { AnyModel } from "@anywidget/types";
import { insertOrCopy } from "../cells";
import { actions } from "../markdown/dom";
import { COPIED_MS, copy } from "../ui";

/** What a cell can hold; a block that names no language is most often Python too. */
const PYTHON = /^(?:|i?python3?|py)$/;

actions.push((_code, language) => {
  if (!PYTHON.test(language)) return "";
  const button = document.createElement("button");
  button.type = "button";
  button.className = "lw-quiet lw-insert-code";
  button.textContent = "Insert below";
  return button;
});

/** Takes the clicks of a conversation. */
export async function onFenceClick(event: MouseEvent, model: AnyModel): Promise<void> {
  const button = event.target instanceof Element && event.target.closest<HTMLButtonElement>(".lw-fence button");
  if (!button) return;
  button.ariaLabel ??= button.textContent;
  const code = button.closest(".lw-fence")?.querySelector("pre")?.textContent ?? "";
  const say = (text: string, duration = COPIED_MS) => {
    button.textContent = text;
    setTimeout(() => {
      button.textContent = button.ariaLabel;
    }, duration);
  };
  if (!button.classList.contains("lw-insert-code")) {
    if (await copy(code)) say("Copied");
  } else await insertOrCopy(model, button, code, say);
}
