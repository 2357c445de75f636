// What is drawn plain first and gets its looks from a part that is loaded when first needed.

import type { PartModules, PartName } from "./parts";

type Get = <N extends PartName>(name: N) => PartModules[N] | undefined;

/** Draws the colours and formulas within these nodes, as far as their parts are here; the others wait. */
export function dress(nodes: Iterable<Node>, get: Get): void {
  for (const node of nodes) {
    if (!(node instanceof Element)) continue;
    for (const code of node.querySelectorAll<HTMLElement>("code[data-language], code[data-math]")) {
      if (code.dataset.math) formula(code, get);
      else colours(code, get);
    }
  }
}

function colours(code: HTMLElement, get: Get): void {
  const part = get("highlight");
  if (!part) return;
  const drawn = part.draw(code.textContent ?? "", code.dataset.language ?? "");
  delete code.dataset.language;
  if (drawn) code.replaceChildren(...drawn);
}

function formula(code: HTMLElement, get: Get): void {
  const part = get("math");
  if (!part) return;
  const drawn = part.draw(code.textContent ?? "", code.dataset.math === "block");
  delete code.dataset.math;
  if (drawn) code.replaceWith(drawn);
}
