// Markdown tokens to elements. Only what is named here can come into being: every element by `createElement`, every
// text by `textContent`, every address through `safeUrl`. What a model writes is never parsed as HTML.

import type { Token, Tokens } from "marked";
import { highlight } from "./highlight";

const LINKS = new Set(["http:", "https:", "mailto:"]);
/** `data:` pictures that can hold no script; anything from the network could carry text of the conversation away. */
const PICTURE = /^data:image\/(?:png|jpeg|gif|webp|avif);base64,[a-z0-9+/=\s]+$/i;

export function safeUrl(href: string): string | null {
  try {
    const url = new URL(href);
    return LINKS.has(url.protocol) ? url.href : null;
  } catch {
    return null; // relative: it would lead into the notebook server
  }
}

export function blocks(tokens: readonly Token[]): Node[] {
  const made = tokens.flatMap((token) => block(token));
  // Each block has the direction of its own script.
  for (const node of made) if (node instanceof HTMLElement) node.dir ||= "auto";
  return made;
}

function element<K extends keyof HTMLElementTagNameMap>(
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

function code(token: Tokens.Code): HTMLElement {
  const closed = isClosed(token);
  const language = (token.lang ?? "").trim().split(/\s/)[0]?.toLowerCase() ?? "";
  const made = element("code", closed ? highlight(token.text, language) : [token.text]);
  const pre = element("pre", [made], "lw-code");
  pre.dir = "ltr";
  if (!closed) return pre;
  // A region that scrolls must be reachable by keyboard.
  pre.tabIndex = 0;
  const button = element("button", ["Copy code"], "lw-quiet lw-copy-code");
  button.type = "button";
  button.dataset.copy = token.text;
  return element("div", [button, pre], "lw-fence");
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
  const body = element(
    "tbody",
    token.rows.map((cells) => row(cells, "td")),
  );
  const scroller = element("div", [element("table", [head, body])], "lw-table");
  scroller.tabIndex = 0;
  return scroller;
}

function inline(parent: { tokens?: Token[] | undefined; raw?: string; text?: string }): (Node & ChildNode)[] {
  if (!parent.tokens) return parent.text ? [document.createTextNode(decodeEntities(parent.text))] : [];
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
      return (token as Tokens.Text).tokens
        ? element("span", inline(token))
        : document.createTextNode(decodeEntities((token as Tokens.Text).text));
    default: // html and whatever a later version knows: shown as it was written
      return document.createTextNode(token.raw);
  }
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
  const href = safeUrl(token.href);
  const children = inline(token);
  return href ? anchor(href, children) : element("span", children, "lw-dead-link");
}

function image(token: Tokens.Image): HTMLElement {
  if (PICTURE.test(token.href)) {
    const made = element("img");
    made.src = token.href;
    made.alt = token.text;
    return made;
  }
  const label = token.text || token.href;
  const href = safeUrl(token.href);
  return href ? anchor(href, [label]) : element("span", [label], "lw-dead-link");
}

function anchor(href: string, children: readonly (Node | string)[]): HTMLElement {
  const made = element("a", children);
  made.href = href;
  made.target = "_blank";
  made.rel = "noopener noreferrer";
  return made;
}

const ENTITIES: Record<string, string> = { amp: "&", lt: "<", gt: ">", quot: '"', "#39": "'", nbsp: "\u00a0" };

/** The few entities that people write in Markdown; a text node would show them as they are. */
function decodeEntities(text: string): string {
  return text.replace(/&(amp|lt|gt|quot|#39|nbsp);/g, (whole, name: string) => ENTITIES[name] ?? whole);
}
