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
  /** What is drawn from there on. */
  #tail: Node[] = [];

  constructor(root: HTMLElement) {
    this.#root = root;
  }

  /** Shows `source`; cheap where it only grew. `ended` says that no more will come. */
  show(source: string, ended: boolean): void {
    const text = source.replaceAll("\r\n", "\n"); // as the lexer does: its tokens' lengths count from there
    const grown = text.length >= this.#text.length && text.startsWith(this.#text);
    if (!grown || (ended && this.#settled > 0 && hasReferences.test(text))) this.#reset();
    else if (text.length === this.#text.length && this.#tail.length > 0 && !ended) return;
    this.#text = text;
    const tokens = Lexer.lex(text.slice(this.#settled), { gfm: true, breaks: false });
    const settled = ended ? tokens.length : firstOpen(tokens);
    const kept = blocks(tokens.slice(0, settled));
    const tail = blocks(tokens.slice(settled));
    for (const node of this.#tail) node.parentNode?.removeChild(node);
    this.#root.append(...kept, ...tail);
    this.#tail = tail;
    for (const token of tokens.slice(0, settled)) this.#settled += token.raw.length;
  }

  #reset(): void {
    this.#root.replaceChildren();
    this.#tail = [];
    this.#settled = 0;
  }
}

/**
 * Returns the index of the first token that more text can still change.
 *
 * A block is closed once a whole line that is not blank follows it: before, "2" may become "2. second", an item of the
 * list above.
 */
function firstOpen(tokens: readonly Token[]): number {
  let after = false;
  for (let index = tokens.length - 1; index >= 0; index -= 1) {
    const token = tokens[index];
    if (after && token?.type !== "space") return index + 1;
    if (token && /\S[^\n]*\n/.test(token.raw)) after = true;
  }
  return 0;
}
