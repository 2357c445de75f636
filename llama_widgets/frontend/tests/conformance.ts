// How an example of a specification of Markdown fares with our renderer. Runs in Node.js and in a browser.

import { lex } from "../src/markdown/grammar";
import { MarkdownStream } from "../src/markdown/stream";

export interface Example {
  markdown: string;
  html: string;
}

/** Where we differ, and why. */
export const CLASSES = {
  same: "as the specification has it",
  addresses:
    "links lead to the web or to mail; relative ones and those of other kinds are dead: they would lead into the notebook server",
  pictures: "pictures are links: a model could send text away in the address of one",
  html: "raw HTML is text: nothing that a model writes may run, load or restyle",
  autolinks:
    "addresses are links without angle brackets too: the extension of GitHub, which these examples do not know",
  mathematics: "backslashes before brackets delimit formulas, as models use them",
} as const;

/** How many examples there are of each class. */
export const EXPECTED: Record<"CommonMark" | "GitHub", Record<keyof typeof CLASSES, number>> = {
  CommonMark: { same: 457, addresses: 96, pictures: 22, html: 72, autolinks: 4, mathematics: 1 },
  GitHub: { same: 482, addresses: 97, pictures: 22, html: 71, autolinks: 4, mathematics: 1 },
};

/** Counts the examples of each class, and collects those that are in none. */
export function judgeAll(examples: readonly Example[]): { counts: Record<string, number>; failed: object[] } {
  const counts: Record<string, number> = {};
  const failed: object[] = [];
  for (const example of examples) {
    const verdict = judge(example);
    if (typeof verdict === "string") counts[verdict] = (counts[verdict] ?? 0) + 1;
    else failed.push({ ...example, ...verdict });
  }
  return { counts, failed };
}

const AUTOLINKS = /^(?:< ?)?https?:\/\/|^[\w.]+@[\w.]+\s*$/;

/** Returns the class of an example, or what we make of it and what should be. */
function judge(example: Example): keyof typeof CLASSES | { got: string; wanted: string } {
  const [markdown, html] = [tabs(example.markdown), tabs(example.html)];
  const root = document.createElement("div");
  new MarkdownStream(root).show(markdown, true);
  const text = squeezed(root.textContent ?? "");
  const wanted = new DOMParser().parseFromString(html, "text/html").body;
  const got = plain(ourOwn(root));
  const exact = plain(wanted);
  if (got === exact) return "same";
  const pictures = asLinks(wanted);
  deaden(wanted);
  if (got === plain(wanted)) return pictures ? "pictures" : "addresses";
  const raw = [...tokensOf(lex(markdown), "html")];
  if (raw.length && raw.every((each) => text.includes(squeezed(each)))) return "html";
  if ([...tokensOf(lex(markdown), "math")].length) return "mathematics";
  if (AUTOLINKS.test(markdown)) return "autolinks";
  return { got, wanted: exact };
}

/** The specifications write a tab as an arrow. */
function tabs(text: string): string {
  return text.replaceAll("→", "\t");
}

function squeezed(text: string): string {
  return text.replace(/[\s>]+/g, "");
}

function* tokensOf(value: unknown, type: string): Generator<string> {
  if (typeof value !== "object" || value === null) return;
  const token = value as { type?: unknown; raw?: unknown };
  if (token.type === type) yield String(token.raw);
  for (const child of Object.values(value)) yield* tokensOf(child, type);
}

/** Our elements as those of the specification. */
function ourOwn(root: HTMLElement): HTMLElement {
  for (const fence of root.querySelectorAll(".lw-fence")) fence.replaceWith(fence.querySelector("pre") ?? "");
  for (const scroller of root.querySelectorAll(".lw-table")) scroller.replaceWith(...scroller.childNodes);
  for (const item of root.querySelectorAll("li > span:not([class])")) item.replaceWith(...item.childNodes);
  for (const heading of root.querySelectorAll('[role="heading"]')) {
    const made = document.createElement(`h${/lw-heading-(\d)/.exec(heading.className)?.[1]}`);
    made.append(...heading.childNodes);
    heading.replaceWith(made);
  }
  return root;
}

/** Pictures as links with their text; returns whether there were any. */
function asLinks(root: HTMLElement): boolean {
  const pictures = [...root.querySelectorAll("img")];
  for (const picture of pictures) {
    const address = picture.getAttribute("src") ?? "";
    const link = document.createElement("a");
    link.setAttribute("href", address);
    if (picture.title) link.title = picture.title;
    link.textContent = picture.alt || address;
    picture.replaceWith(link);
  }
  return pictures.length > 0;
}

function deaden(root: HTMLElement): void {
  for (const link of root.querySelectorAll("a")) {
    if (/^(?:https?|mailto):/i.test(link.getAttribute("href") ?? "")) continue;
    const made = document.createElement("span");
    made.append(...link.childNodes);
    link.replaceWith(made);
  }
}

const MEANT = new Set(["href", "title", "src", "alt", "start", "style"]);
const BLOCK = "(</?(?:p|ul|ol|li|blockquote|h\\d|hr|pre|table|thead|tbody|tr|td|th|input)\\b[^>]*>)";

/** The HTML without what has no meaning: space between blocks, attributes of looks, how an address is spelt. */
function plain(root: HTMLElement): string {
  root.normalize();
  for (const element of root.querySelectorAll("*")) {
    const align = element.getAttribute("align");
    if (align) element.setAttribute("style", `text-align: ${align};`);
    const href = element.getAttribute("href");
    if (href && /^(?:https?|mailto):/i.test(href)) element.setAttribute("href", new URL(href).href);
    for (const { name } of [...element.attributes]) if (!MEANT.has(name)) element.removeAttribute(name);
  }
  const parts = root.innerHTML.split(/(<pre>[\s\S]*?<\/pre>)/);
  return parts
    .map((part, index) => (index % 2 ? part.replace("\n</code>", "</code>") : part.replace(/\s+/g, " ")))
    .join("")
    .replace(new RegExp(` *${BLOCK} *`, "g"), "$1")
    .replace(/ *<br> */g, "<br>")
    .trim();
}
