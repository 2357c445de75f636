// Markdown that grows: finished blocks are kept, only the last is drawn again.

import { Lexer, type Token } from "marked";
import { blocks } from "./dom";

/** Something that a later line can still change the meaning of, wherever it was used: draw all of it at the end. */
const hasReferences = /^ {0,3}\[[^\]\n]+\]:/m;

export class MarkdownStream {
  #root: HTMLElement;
  #text = "";
  /** Up to here the text is drawn for good. */
  #settled = 0;
  /** Up to here its lines have been looked at for blocks to settle. */
  #lines = 0;
  /** What is drawn from `settled` on. */
  #tail: Node[] = [];

  constructor(root: HTMLElement) {
    this.#root = root;
  }

  /** Shows `source`; cheap where it only grew. `ended` says that no more will come. */
  show(source: string, ended: boolean): void {
    const text = source.replaceAll("\r\n", "\n"); // as the lexer does: its tokens' lengths count from there
    const grown = text.startsWith(this.#text);
    if (!grown || (ended && this.#settled > 0 && hasReferences.test(text))) this.#reset();
    this.#text = text;
    for (const node of this.#tail) node.parentNode?.removeChild(node);
    if (!ended) this.#settle();
    this.#tail = blocks(lex(text.slice(this.#settled)));
    this.#root.append(...this.#tail);
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
    const tokens = lex(this.#text.slice(this.#settled, lines));
    const closed = tokens.slice(
      0,
      Math.max(
        0,
        tokens.findLastIndex(({ type }) => type !== "space"),
      ),
    );
    this.#root.append(...blocks(closed));
    for (const { raw } of closed) this.#settled += raw.length;
  }

  #reset(): void {
    this.#root.replaceChildren();
    this.#tail = [];
    this.#settled = 0;
    this.#lines = 0;
  }
}

function lex(text: string): Token[] {
  return Lexer.lex(text, { gfm: true, breaks: false });
}
