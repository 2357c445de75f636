// What GitHub's Markdown has beyond marked's: mathematics and footnotes.

import { Lexer, type MarkedOptions, type Token, type TokenizerExtensionFunction, type Tokens } from "marked";

export interface MathToken extends Tokens.Generic {
  type: "math";
  /** TeX without its delimiters. */
  text: string;
  display: boolean;
  /** Its end is missing: shown as it was written. */
  open: boolean;
}

/** The definition of a footnote. */
export interface NoteToken extends Tokens.Generic {
  type: "note";
  label: string;
  tokens: Token[];
  /** Its place among the notes that are referred to, from 1; 0 while nothing refers to it. */
  number: number;
  /** How often it is referred to. */
  references: number;
}

export interface NoteReference extends Tokens.Generic {
  type: "noteref";
  note: NoteToken;
  /** Which of the note's references this is, from 1. */
  count: number;
}

type Links = Record<string, { href: string | null; title: string | null; note?: NoteToken }>;
type This = { lexer: Lexer };

/** `$$…$$` or `\[…\]` on a line of its own, or between two such lines. A blank line ends it, closed or not. */
const BLOCK =
  /^ {0,3}(?:\$\$(?=[ \t]*\n|[^\n]*\$\$)((?:(?!\$\$|\n[ \t]*\n)[\s\S])+)\$\$|\\\[(?=[ \t]*\n|[^\n]*\\\])((?:(?!\\\]|\n[ \t]*\n)[\s\S])+)\\\])[ \t]*(?:\n+|$)/;
/** The same, while its end is not there: its lines are kept together, whatever else they look like. */
const OPEN_BLOCK = /^ {0,3}(?:\$\$|\\\[)[ \t]*\n[\s\S]*?(?:\n(?=[ \t]*\n)|$)/;
const BLOCK_START = /\n {0,3}(?:\$\$|\\\[|\[\^[^\]\s]+\]:)/;

const INLINE: [RegExp, display: boolean][] = [
  [/^\$\$((?:(?!\$\$)[\s\S])+)\$\$/, true],
  [/^\\\[([\s\S]+?)\\\]/, true],
  [/^\\\(([\s\S]+?)\\\)/, false],
  [/^\$`([^`]+)`\$/, false],
  // As GitHub: no space inside the dollars, and no letter or digit outside: "costs $5 and $6" is no formula.
  [/^\$(?![\s$])((?:\\[\s\S]|[^\\$])*?(?:\\\S|[^\s\\$]))\$(?![\w$])/, false],
];
const BEFORE_DOLLAR = /[\w\\$]$/;
const FORMULAS =
  /\$\$(?:(?!\$\$)[\s\S])+\$\$|\\\[[\s\S]+?\\\]|\\\([\s\S]+?\\\)|\$`[^`]+`\$|(?<![\w\\$])\$(?![\s$])(?:\\[\s\S]|[^\\$])*?(?:\\\S|[^\s\\$])\$(?![\w$])/g;

const NOTE =
  /^ {0,3}\[\^([^\]\s]+)\]:[ \t]*([^\n]*(?:\n+(?: {4}|\t)[^\n]*\S[^\n]*|\n(?![ \t]*(?:\n|$)| {0,3}(?:\[\^|#{1,6}\s|[-*+>]|\d{1,9}[.)]|```|~~~|\$\$|\\\[|\|))[^\n]+)*)(?:\n|$)/;
const NOTE_REFERENCE = /^\[\^([^\]\s]+)\]/;

function mathBlock(source: string): MathToken | undefined {
  const closed = BLOCK.exec(source);
  if (closed) {
    return { type: "math", raw: closed[0], text: (closed[1] ?? closed[2] ?? "").trim(), display: true, open: false };
  }
  const raw = OPEN_BLOCK.exec(source)?.[0];
  if (!raw) return undefined;
  const text = raw.trim().slice(2);
  // Something follows its end on the same line: a paragraph with a formula.
  if (/\$\$|\\\]/.test(text)) return undefined;
  return { type: "math", raw, text: text.trim(), display: true, open: true };
}

function mathSpan(source: string, before: readonly Token[]): MathToken | undefined {
  return formula(source, before.at(-1)?.raw ?? "");
}

/** Returns the formula that `source` begins with; `before` ends with what stands before it. */
export function formula(source: string, before: string): MathToken | undefined {
  if (!mayBegin(source, before)) return undefined;
  for (const [pattern, display] of INLINE) {
    const found = pattern.exec(source);
    if (found) return { type: "math", raw: found[0], text: (found[1] ?? "").trim(), display, open: false };
  }
  return undefined;
}

/** Returns whether a formula may begin here. */
export function mayBegin(source: string, before: string): boolean {
  return source[0] === "$" ? !BEFORE_DOLLAR.test(before) : /^\\[([]/.test(source);
}

function note(this: This, source: string): NoteToken | undefined {
  const found = NOTE.exec(source);
  if (!found) return undefined;
  const [raw, label = "", text = ""] = found;
  const key = `^${label.toLowerCase()}`;
  const links = this.lexer.tokens.links as Links;
  const tokens = this.lexer.blockTokens(text.replace(/\n(?: {4}|\t)/g, "\n"), []);
  const made: NoteToken = { type: "note", raw, label, tokens, number: 0, references: 0 };
  // Among the references of links, so that marked takes "[^1]" for one and leaves the signs within alone.
  links[key] ??= { href: "", title: "", note: made };
  return made;
}

function noteReference(this: This, source: string): NoteReference | undefined {
  const found = NOTE_REFERENCE.exec(source);
  const links = this.lexer.tokens.links as Links;
  const referred = found && links[`^${found[1]?.toLowerCase()}`]?.note;
  if (!referred) return undefined;
  const numbered = Object.values(links).filter((each) => each.note?.number).length;
  referred.number ||= numbered + 1;
  referred.references += 1;
  return { type: "noteref", raw: found[0], note: referred, count: referred.references };
}

const options: MarkedOptions = {
  gfm: true,
  extensions: {
    renderers: {},
    childTokens: {},
    block: [mathBlock, note] as TokenizerExtensionFunction[],
    startBlock: [(source) => found(source, BLOCK_START)],
    inline: [mathSpan, noteReference] as TokenizerExtensionFunction[],
    startInline: [(source) => found(source, /[$\\]|\[\^/)],
  },
  // The signs in a formula mean nothing to Markdown.
  hooks: {
    emStrongMask: (source: string) => source.replace(FORMULAS, ({ length }) => "a".repeat(length)),
  } as NonNullable<MarkedOptions["hooks"]>,
};

function found(source: string, pattern: RegExp): number | undefined {
  const at = source.search(pattern);
  return at < 0 ? undefined : at;
}

/** Returns the blocks of a text. */
export function lex(text: string): Token[] {
  return new Lexer(options).lex(text);
}

/**
 * Returns the blocks of a piece of a text of which more will come. Definitions of links and footnotes mean nothing yet:
 * they come late, and would change what has been read.
 */
export function lexPiece(text: string): Token[] {
  return withoutDefinitions().lex(text);
}

/** Returns what is in a line of such a piece. */
export function lexLine(text: string): Token[] {
  return withoutDefinitions().inlineTokens(text);
}

function withoutDefinitions(): Lexer {
  const lexer = new Lexer(options);
  lexer.tokens.links = new Proxy({}, { get: () => undefined, set: () => true });
  return lexer;
}
