// Markdown that grows: finished blocks are kept, only the last is drawn again.

import type { Token } from "marked";
import { blocks, whole } from "./dom";
import { dress } from "./dress";
import { lex, lexPiece } from "./grammar";
import { lexGrowing } from "./half";
import type { PartName, Parts } from "./parts";

/** Something that a later line can still change the meaning of, wherever it was used: draw all of it at the end. */
const hasReferences = /^ {0,3}\[[^\]\n]+\]:/m;

export class MarkdownStream {
  #root: HTMLElement;
  #parts: Parts | undefined;
  #text = "";
  /** Up to here the text is drawn for good. */
  #settled = 0;
  /** Up to here its lines have been looked at for blocks to settle. */
  #lines = 0;
  /** How many of the root's children are drawn for good. */
  #kept = 0;

  /** Without `parts`, code has no colours and formulas are shown as they were written. */
  constructor(root: HTMLElement, parts?: Parts) {
    this.#root = root;
    this.#parts = parts;
    root.addEventListener("click", followNote);
  }

  /** Shows `source`; cheap where it only grew. `ended` says that no more will come. */
  show(source: string, ended: boolean): void {
    const text = source.replaceAll("\r\n", "\n"); // as the lexer does: its tokens' lengths count from there
    const grown = text.startsWith(this.#text);
    if (!grown || (ended && hasReferences.test(text))) {
      this.#settled = 0;
      this.#lines = 0;
      this.#kept = 0;
    }
    this.#text = text;
    if (!ended) this.#settle();
    const rest = text.slice(this.#settled);
    this.#draw(ended ? whole(lex(rest)) : blocks(lexGrowing(rest)));
  }

  /**
   * Draws for good the blocks that no more text can change: those that a later block follows when only whole lines are
   * looked at. By the line that is still growing nothing can be told: "2" may become "2. second" and belong to the list
   * above, and a "-" makes a heading of the line before until a word follows it.
   */
  #settle(): void {
    const lines = this.#text.lastIndexOf("\n") + 1;
    if (lines <= this.#lines) return;
    this.#lines = lines;
    const tokens: Token[] = lexPiece(this.#text.slice(this.#settled, lines));
    const last = tokens.findLastIndex(({ type }) => type !== "space");
    const closed = tokens.slice(0, Math.max(0, last));
    const nodes = blocks(closed);
    if (nodes.length) this.#draw(nodes);
    this.#kept += nodes.length;
    for (const { raw } of closed) this.#settled += raw.length;
  }

  /** Puts `nodes` behind those that are kept. What is there already and looks the same stays. */
  #draw(nodes: readonly Node[]): void {
    this.#dress(nodes);
    const there = this.#root.childNodes;
    nodes.forEach((node, index) => {
      const old = there[this.#kept + index];
      if (!old) this.#root.append(node);
      else if (!old.isEqualNode(node)) old.replaceWith(node);
    });
    while (there.length > this.#kept + nodes.length) this.#root.lastChild?.remove();
  }

  #dress(nodes: Iterable<Node>): void {
    dress(nodes, <N extends PartName>(name: N) => this.#parts?.get(name, this.#redress));
  }

  #redress = (): void => this.#dress(this.#root.childNodes);
}

/** From the number in the text to the note, and back. */
function followNote(this: HTMLElement, event: Event): void {
  const button = event.target instanceof Element && event.target.closest<HTMLElement>(".lw-note, .lw-back");
  if (!button) return;
  const { note, back } = button.dataset;
  const target = note
    ? this.querySelectorAll<HTMLElement>(".lw-notes > ol > li")[Number.parseInt(note, 10) - 1]
    : this.querySelector<HTMLElement>(`.lw-note[data-note="${back}"]`);
  target?.focus();
}
