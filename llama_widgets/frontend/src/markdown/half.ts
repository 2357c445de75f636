// Text that is still being written, drawn as it will look: what is open is closed for the time being, and signs that may
// yet mean this or that are held back until it is clear. So nothing appears that has to go away again.

import type { Token, Tokens } from "marked";
import { formula, lexLine, lexPiece, mayBegin } from "./grammar";

/** Returns the blocks of a text of which more will come. */
export function lexGrowing(text: string): Token[] {
  const tokens = lexPiece(text);
  const last = lastLeaf(tokens);
  if (last?.type === "code") {
    const code = last as Tokens.Code;
    // Perhaps the beginning of the fence's end.
    if (code.codeBlockStyle !== "indented") code.text = code.text.replace(/(^|\n) {0,3}(`{1,2}|~{1,2})$/, "");
    return tokens;
  }
  if (last?.type === "math") return tokens;
  const clear = withoutDoubtfulLine(text);
  const shown = asTable(clear);
  const drawn = shown === text ? tokens : lexPiece(shown);
  close(lastLeaf(drawn), clear.slice(clear.lastIndexOf("\n") + 1));
  return drawn;
}

/** The innermost block at the end, if text can still be added to it. */
function lastLeaf(tokens: readonly Token[]): Token | undefined {
  const last = tokens.at(-1);
  switch (last?.type) {
    case "list":
      return lastLeaf((last as Tokens.List).items.at(-1)?.tokens ?? []);
    case "blockquote":
    case "note":
      return lastLeaf(last.tokens ?? []);
    default:
      return last;
  }
}

/** What a line may begin with before its own text. */
const CONTAINERS = /^(?:[ \t]|>|[-*+](?=[ \t])|\d{1,9}[.)](?=[ \t]))*/;
const DOUBTFUL = [
  /^[-=*+_#>`~|:$\\ \t]*$/, // the beginning of nearly anything
  /^\d{1,9}[.)]?$/, // a number, or the first of a list
  /^\[[ xX]?\]?[ \t]*$/, // a task
  /^\[\^[^\]\s]*(?:\]:?[ \t]*)?$/, // a footnote, or a reference to one
  /^\[(?!\^)[^\]]+\]:/, // the definition of a link, which is never shown
];

/** Leaves out a last line of which nobody knows yet what it will be. */
function withoutDoubtfulLine(text: string): string {
  const start = text.lastIndexOf("\n") + 1;
  const line = text.slice(start);
  if (!line.trim()) return text;
  const own = line.replace(CONTAINERS, "");
  const isTable = own.startsWith("|") && /^[ \t>]*\|/m.test(text.slice(text.lastIndexOf("\n", start - 2) + 1, start));
  return !isTable && DOUBTFUL.some((pattern) => pattern.test(own)) ? text.slice(0, start) : text;
}

const ROW = /^([ \t>]*)(\|.*)$/;
const DELIMITERS = /^[|:\- \t]*$/;

/** The first row of a table, of which only the line below says that it is one. */
function asTable(text: string): string {
  const lines = text.split("\n");
  const [third, second, last = ""] = [lines.at(-3), lines.at(-2) ?? "", lines.at(-1)];
  const [header, above] =
    ROW.test(second) && (!last.trim() || DELIMITERS.test(last)) ? [second, third] : [last, second];
  const row = ROW.exec(header);
  if (!row || ROW.test(above ?? "")) return text;
  const [, indent = "", cells = ""] = row;
  const inner = cells.replaceAll("\\|", "").trim().replace(/^\|/, "").replace(/\|$/, "");
  const kept = header === second ? lines.slice(0, -1) : lines;
  if (!inner.trim()) return kept.slice(0, -1).join("\n");
  return [...kept, `${indent}|${"---|".repeat(inner.split("|").length)}`].join("\n");
}

/** Closes what is open in the block at the end, whose last line is `line`. */
function close(leaf: Token | undefined, line: string): void {
  if (leaf?.type === "table") {
    if (/\|[ \t]*$/.test(line) || DELIMITERS.test(line)) return;
    const { header, rows } = leaf as Tokens.Table;
    const cell = (rows.at(-1) ?? header).findLast((each) => each.text);
    if (cell) cell.tokens = lexLine(closed(cell.text));
  } else if (leaf && "tokens" in leaf && ["paragraph", "heading", "text"].includes(leaf.type)) {
    const before = leaf.tokens?.[0]?.type === "checkbox" ? leaf.tokens.slice(0, 1) : [];
    const own = leaf.text.slice(before[0]?.raw.length ?? 0);
    leaf.tokens = [...before, ...lexLine(closed(own))];
  }
}

/** So much of a line is held back at most. */
const PATIENCE = 300;

/** More signs that are open are no emphasis, and take long to look through. */
const DEEPEST = 10;

interface Delimiters {
  sign: string;
  count: number;
  /** Where what they emphasise begins. */
  end: number;
}

/** Returns a line with all that is open in it closed, and without what cannot be told yet. */
export function closed(line: string): string {
  const open: Delimiters[] = [];
  const finish = (beginning: string, more = "") => {
    let shown = beginning;
    // Signs with nothing behind them yet.
    for (let last = open.at(-1); last && !more && last.end >= shown.trimEnd().length; last = open.at(-1)) {
      shown = shown.slice(0, last.end - last.count);
      open.pop();
    }
    if (!open.length || open.length > DEEPEST) return shown + more;
    return (
      (more ? shown + more : shown.trimEnd()) + open.reduceRight((all, { sign, count }) => all + sign.repeat(count), "")
    );
  };

  for (let at = 0; at < line.length; ) {
    const sign = line[at] ?? "";
    const rest = line.slice(at);
    const before = line.slice(0, at);
    const known = formula(rest, before);
    if (known) {
      at += known.raw.length;
    } else if (sign === "$" || (sign === "\\" && mayBegin(rest, before))) {
      const opening = /^(?:\$\$|\\[([]|\$`?)/.exec(rest)?.[0] ?? sign;
      const content = rest.slice(opening.length);
      if (!content && mayBegin(rest, before)) return finish(before);
      // A dollar before a number is money more often than mathematics.
      const isOpen = mayBegin(rest, before) && !/^[\s\d]/.test(content) && content.length < PATIENCE;
      if (isOpen && !(sign === "$" && content.includes("$"))) return finish(before, asCode(content));
      at += opening.length;
    } else if (sign === "\\") {
      if (rest.length === 1) return finish(before);
      at += 2;
    } else if (sign === "`") {
      const run = /^`+/.exec(rest)?.[0] ?? sign;
      if (run === rest) return finish(before);
      const end = new RegExp(`(?<!\`)${run}(?!\`)`).exec(rest.slice(run.length));
      if (!end) return finish(before, asCode(rest.slice(run.length)));
      at += 2 * run.length + end.index;
    } else if (sign === "[" || (sign === "!" && (rest[1] ?? "[") === "[")) {
      const ending = linkEnd(line, at + (sign === "!" ? 1 : 0));
      if (ending === "unknown") return rest.length < PATIENCE ? finish(before) : finish(line);
      if (typeof ending === "object") {
        return finish(`${line.slice(0, ending.label)}](<>)`);
      }
      at = sign === "!" ? Math.max(ending, at + 1) : ending;
    } else if (sign === "<") {
      if (/^<[a-z/!?][a-z\d+.@/-]*$/i.test(rest) || rest === "<") return finish(before);
      if (/^<[a-z][a-z\d+.-]{1,31}:[^\s<>]*$/i.test(rest)) return finish(`${line}>`);
      at += /^<[^<>]*>/.exec(rest)?.[0].length ?? 1;
    } else if (sign === "&" && /^&#?\w{0,31}$/.test(rest)) {
      return finish(before);
    } else if (sign === "*" || sign === "_" || sign === "~") {
      const count = /^(?:\*+|_+|~+)/.exec(rest)?.[0].length ?? 1;
      // Perhaps the first of two, and open or close: nobody knows.
      if (count === rest.length) return finish(before);
      delimit(open, { sign, count, end: at + count }, line[at - 1] ?? " ", line[at + count] ?? " ");
      at += count;
    } else {
      at += 1;
    }
  }
  return finish(line);
}

/** Opens or closes emphasis, as CommonMark says. */
function delimit(open: Delimiters[], { sign, count, end }: Delimiters, before: string, after: string): void {
  const [spaceBefore, spaceAfter] = [/\s/.test(before), /\s/.test(after)];
  const [markBefore, markAfter] = [/[\p{P}\p{S}]/u.test(before), /[\p{P}\p{S}]/u.test(after)];
  const left = !spaceAfter && (!markAfter || spaceBefore || markBefore);
  const right = !spaceBefore && (!markBefore || spaceAfter || markAfter);
  let rest = count;
  if (sign === "~" && count > 2) return;
  if (right && (sign !== "_" || !left || markAfter)) {
    for (;;) {
      const index = open.findLastIndex((each) => each.sign === sign && (sign !== "~" || each.count === count));
      const opener = open[index];
      if (!opener || rest === 0) break;
      const used = Math.min(opener.count, rest);
      opener.count -= used;
      rest -= used;
      open.length = opener.count ? index + 1 : index;
    }
  }
  if (rest && left && (sign !== "_" || !right || markBefore)) open.push({ sign, count: rest, end });
}

/**
 * Where the link that may begin at `at` ends. A number is the place from where to go on; an object is a link whose
 * address is not complete, with the end of its label; "unknown" is what may or may not become a link.
 */
function linkEnd(line: string, at: number): number | { label: number } | "unknown" {
  if (line[at] !== "[") return "unknown";
  let depth = 0;
  for (let i = at; i < line.length; i += 1) {
    if (line[i] === "\\") i += 1;
    else if (line[i] === "`") i += (/^(`+)[\s\S]*?[^`]\1(?!`)/.exec(line.slice(i))?.[0].length ?? 1) - 1;
    else if (line[i] === "[") depth += 1;
    else if (line[i] === "]" && --depth === 0) {
      const next = line.slice(i + 1);
      if (!next) return "unknown";
      if (next[0] !== "(") return at + 1;
      return /^\((?:[^()\n\\]|\\.|\([^()\n]*\))*\)/.test(next) ? at + 1 : { label: i };
    }
  }
  return "unknown";
}

function asCode(content: string): string {
  const inner = content.replace(/`+$/, "");
  if (!inner.trim()) return "";
  const longest = Math.max(0, ...(inner.match(/`+/g) ?? []).map((run) => run.length));
  const fence = "`".repeat(longest + 1);
  return inner.startsWith("`") ? `${fence} ${inner} ${fence}` : fence + inner + fence;
}
