// Markdown tokens to elements. Only what is named here can come into being: every element by `createElement`, every
// text by `textContent`, every address through `safeUrl`. What a model writes is never parsed as HTML.

import type { Token, Tokens } from "marked";
import { decode } from "./entities";
import type { MathToken, NoteReference, NoteToken } from "./grammar";

const LINKS = new Set(["http:", "https:", "mailto:"]);
/** `data:` pictures that can hold no script; anything from the network could carry text of the conversation away. */
const PICTURE = /^data:image\/(?:png|jpeg|gif|webp|avif);base64,[a-z0-9+/=\s]+$/i;

export function safeUrl(href: string): string | null {
  try {
    const url = new URL(encodeURI(href).replaceAll("%25", "%"));
    return LINKS.has(url.protocol) ? url.href : null;
  } catch {
    return null; // relative: it would lead into the notebook server
  }
}

/** Draws all of a text: its footnotes come last, those that are referred to, in the order in which they are. */
export function whole(tokens: readonly Token[]): Node[] {
  const last = tokens.at(-1);
  // Cut off within its code, an answer gets no more of it: what is there can be copied too.
  if (last?.type === "code" && !isClosed(last as Tokens.Code)) last.raw += "\n```";
  const made = blocks(tokens.filter(({ type }) => type !== "note"));
  const notes = tokens.filter((token): token is NoteToken => token.type === "note" && token.number > 0);
  return notes.length ? [...made, notesOf(notes.sort((a, b) => a.number - b.number))] : made;
}

/** Draws a piece of a text. */
export function blocks(tokens: readonly Token[]): Node[] {
  const made = tokens.flatMap((token) => block(token));
  // Each block has the direction of its own script.
  for (const node of made) if (node instanceof HTMLElement) node.dir ||= "auto";
  return made;
}

export function element<K extends keyof HTMLElementTagNameMap>(
  name: K,
  children: readonly (Node | string)[] = [],
  className = "",
): HTMLElementTagNameMap[K] {
  const made = document.createElement(name);
  if (className) made.className = className;
  made.append(...children);
  return made;
}

function block(token: Token): Node[] {
  switch (token.type) {
    case "space":
    case "def":
      return [];
    case "heading":
      return [heading(token as Tokens.Heading)];
    case "paragraph":
      return [element("p", inline(token))];
    case "code":
      return [code(token as Tokens.Code)];
    case "blockquote":
      return [element("blockquote", blocks((token as Tokens.Blockquote).tokens))];
    case "list":
      return [listOf(token as Tokens.List)];
    case "table":
      return [table(token as Tokens.Table)];
    case "hr":
      return [element("hr")];
    case "math":
      return [displayed(token as MathToken)];
    case "note":
      return [notesOf([token as NoteToken])];
    case "checkbox":
      return [span(token)];
    case "html":
      return [element("p", [token.raw.trimEnd()], "lw-raw")];
    default:
      return inline(token).length ? inline(token) : [document.createTextNode(token.raw)];
  }
}

function heading(token: Tokens.Heading): HTMLElement {
  // The page has headings of its own above: a model's h1 is one of the lesser ones.
  const made = element("div", inline(token), `lw-heading lw-heading-${token.depth}`);
  made.setAttribute("role", "heading");
  made.setAttribute("aria-level", String(Math.min(token.depth + 2, 6)));
  return made;
}

/** A fence that is not closed yet is left without colours and button: it is drawn anew with every token. */
function isClosed(token: Tokens.Code): boolean {
  return token.codeBlockStyle === "indented" || /\n {0,3}(`{3,}|~{3,})[ \t]*\n*$/.test(token.raw);
}

/** What a reader can do with a finished piece of code; each is a button. */
export const actions: ((code: string, language: string) => Node | string)[] = [copyCode];

function copyCode(code: string): HTMLElement {
  const button = element("button", ["Copy code"], "lw-quiet lw-copy-code");
  button.type = "button";
  button.dataset.copy = code;
  return button;
}

function code(token: Tokens.Code): HTMLElement {
  const closed = isClosed(token);
  const language = /^[\w+#.-]{1,40}/.exec(decode(token.lang ?? "").toLowerCase())?.[0] ?? "";
  if (closed && language === "math") return displayed({ text: token.text, open: false });
  const made = element("code", [token.text]);
  const pre = element("pre", [made], "lw-code");
  pre.dir = "ltr";
  const row = element("div", [], "lw-actions");
  if (closed) {
    if (language) made.dataset.language = language;
    // A region that scrolls must be reachable by keyboard.
    pre.tabIndex = 0;
    row.append(...actions.map((make) => make(token.text, language)));
  }
  return element("div", [row, pre], "lw-fence");
}

function displayed(token: Pick<MathToken, "text" | "open">): HTMLElement {
  const made = element("div", [tex(token.text, token.open ? "" : "block")], "lw-math");
  made.dir = "ltr";
  made.tabIndex = 0;
  return made;
}

/** TeX as it was written. Where `display` says how, it becomes a formula as soon as the page can draw one. */
function tex(text: string, display: string): HTMLElement {
  const made = element("code", [text], "lw-tex");
  made.dir = "ltr";
  if (display) made.dataset.math = display;
  return made;
}

function notesOf(notes: readonly NoteToken[]): HTMLElement {
  const items = notes.map((note) => {
    const item = element("li", blocks(note.tokens));
    item.tabIndex = -1;
    const backs = Array.from({ length: note.references }, (_, index) => {
      const back = element("button", ["↩"], "lw-back");
      back.type = "button";
      back.dataset.back = `${note.number}.${index + 1}`;
      back.setAttribute("aria-label", "Back to the text");
      return back;
    });
    const last = item.lastChild instanceof HTMLParagraphElement ? item.lastChild : item;
    last.append(...backs.flatMap((back) => [" ", back]));
    return item;
  });
  const list = element("ol", items);
  list.start = notes[0]?.number || Number.parseInt(notes[0]?.label ?? "", 10) || 1;
  const made = element("section", [list], "lw-notes");
  made.setAttribute("aria-label", "Footnotes");
  return made;
}

function noteReference({ note, count }: NoteReference): HTMLElement {
  const button = element("button", [String(note.number)], "lw-note");
  button.type = "button";
  button.dataset.note = `${note.number}.${count}`;
  button.setAttribute("aria-label", `Footnote ${note.number}`);
  return element("sup", [button]);
}

function listOf(token: Tokens.List): HTMLElement {
  const made = element(
    token.ordered ? "ol" : "ul",
    token.items.map((item) => listItem(item)),
  );
  if (made instanceof HTMLOListElement && typeof token.start === "number" && token.start !== 1) {
    made.start = token.start;
  }
  return made;
}

function listItem(item: Tokens.ListItem): HTMLElement {
  return element(
    "li",
    item.tokens.flatMap((token) => (token.type === "text" ? inline(token) : block(token))),
    item.task ? "lw-task" : "",
  );
}

function table(token: Tokens.Table): HTMLElement {
  const row = (cells: Tokens.TableCell[], name: "th" | "td") =>
    element(
      "tr",
      cells.map((cell) => {
        const made = element(name, inline(cell));
        if (cell.align) made.style.textAlign = cell.align;
        return made;
      }),
    );
  const head = element("thead", [row(token.header, "th")]);
  const rows = token.rows.map((cells) => row(cells, "td"));
  const body = rows.length ? [element("tbody", rows)] : [];
  const scroller = element("div", [element("table", [head, ...body])], "lw-table");
  scroller.tabIndex = 0;
  return scroller;
}

function inline(parent: { tokens?: Token[] | undefined; raw?: string; text?: string }): (Node & ChildNode)[] {
  if (!parent.tokens) return parent.text ? [document.createTextNode(decode(parent.text))] : [];
  return parent.tokens.map(span);
}

function span(token: Token): Node & ChildNode {
  switch (token.type) {
    case "strong":
      return element("strong", inline(token));
    case "em":
      return element("em", inline(token));
    case "del":
      return element("del", inline(token));
    case "codespan":
      return element("code", [(token as Tokens.Codespan).text]);
    case "br":
      return element("br");
    case "link":
      return link(token as Tokens.Link);
    case "image":
      return image(token as Tokens.Image);
    case "checkbox":
      return checkbox(Boolean((token as { checked?: boolean }).checked));
    case "escape":
      return document.createTextNode((token as Tokens.Escape).text);
    case "text":
      return text(token as Tokens.Text);
    case "math":
      return tex((token as MathToken).text, (token as MathToken).display ? "block" : "inline");
    case "noteref":
      return noteReference(token as NoteReference);
    default: // html and whatever a later version knows: shown as it was written
      return document.createTextNode(token.raw);
  }
}

function text(token: Tokens.Text): Node & ChildNode {
  if (token.tokens) return element("span", inline(token));
  // Not its `text`, in which marked has decoded some references already.
  return document.createTextNode(token.escaped ? token.raw : decode(token.raw));
}

function checkbox(checked: boolean): HTMLElement {
  const box = element("input");
  box.type = "checkbox";
  box.checked = checked;
  box.disabled = true;
  box.setAttribute("aria-label", checked ? "Done" : "To do");
  return box;
}

function link(token: Tokens.Link): HTMLElement {
  const href = safeUrl(decode(token.href));
  const children = inline(token);
  return href ? anchor(href, children, token.title) : element("span", children, "lw-dead-link");
}

function image(token: Tokens.Image): HTMLElement {
  const address = decode(token.href);
  const label = element("span", inline(token)).textContent || address;
  if (PICTURE.test(address)) {
    const made = element("img");
    made.src = address;
    made.alt = label;
    return made;
  }
  const href = safeUrl(address);
  return href ? anchor(href, [label], token.title) : element("span", [label], "lw-dead-link");
}

function anchor(href: string, children: readonly (Node | string)[], title?: string | null): HTMLElement {
  const made = element("a", children);
  made.href = href;
  made.target = "_blank";
  made.rel = "noopener noreferrer";
  if (title) made.title = decode(title);
  return made;
}
