// Strings that were written to run, load, submit or restyle something: all that comes of them is text. The same ones are
// shown in JupyterLab by tests/browser/test_hostile.py.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { forget, Parts, supply } from "../src/markdown/parts";
import { MarkdownStream } from "../src/markdown/stream";
import * as highlight from "../src/parts/highlight";
import * as math from "../src/parts/math";

const { strings, contexts, addresses }: Record<string, string[]> = JSON.parse(
  readFileSync(join(__dirname, "../../../tests/golden/hostile.json"), "utf8"),
);
const HOSTILE = [
  ...(strings ?? []),
  ...(contexts ?? []).flatMap((context) => (addresses ?? []).map((address) => context.replaceAll("{}", address))),
];

const ELEMENTS = new Set(
  (
    "a blockquote br button code del div em hr img input li ol p pre section span strong sup table tbody td th thead tr " +
    "ul math menclose mfrac mi mn mo mover mpadded mphantom mroot mrow ms mspace msqrt mstyle msub msubsup msup mtable " +
    "mtd mtext mtr munder munderover"
  ).split(" "),
);
/** Of HTML elements. Those of formulas are on a list of their own in `src/parts/math.ts`. */
const ATTRIBUTES: Record<string, RegExp> = {
  alt: /[\s\S]*/,
  "aria-label": /^(?:To do|Done|Footnotes|Footnote \d+|Back to the text)$/,
  "aria-level": /^[3-6]$/,
  class: /^lw-[a-z\d_-]+(?: lw-[a-z\d_-]+)*$/,
  "data-back": /^\d+\.\d+$/,
  "data-copy": /[\s\S]*/,
  "data-language": /^[\w+#.-]{1,40}$/,
  "data-math": /^(?:block|inline)$/,
  "data-note": /^\d+\.\d+$/,
  dir: /^(?:auto|ltr)$/,
  disabled: /^$/,
  href: /^(?:https?:\/\/|mailto:)/,
  rel: /^noopener noreferrer$/,
  role: /^heading$/,
  src: /^data:image\/(?:png|jpeg|gif|webp|avif);base64,[a-z\d+/=\s]+$/i,
  start: /^\d+$/,
  style: /^text-align: (?:left|right|center);$/,
  tabindex: /^(?:0|-1)$/,
  target: /^_blank$/,
  title: /[\s\S]*/,
  type: /^(?:button|checkbox)$/,
};
const IN_FORMULAS = /^(?:on|href|src|xlink|id$|xmlns|action|data)/;

function check(root: HTMLElement): void {
  for (const element of root.querySelectorAll("*")) {
    expect(ELEMENTS).toContain(element.localName);
    const isHtml = element instanceof HTMLElement;
    for (const { name, value } of element.attributes) {
      if (!isHtml) {
        expect(name).not.toMatch(IN_FORMULAS);
        expect(value).toMatch(name === "class" ? /^(?:tml-[a-z]+|upstrike|downstrike|sout)$/ : /^[\w\s.,:;#%+-]*$/);
        expect(value).not.toMatch(/url|position|fixed|javascript|(?<![.\d])\d{3}/);
      } else if (!ATTRIBUTES[name]?.test(value)) expect.fail(`${name}=${JSON.stringify(value)}`);
    }
    if (element instanceof HTMLAnchorElement) {
      expect([element.target, element.rel]).toEqual(["_blank", "noopener noreferrer"]);
    }
  }
}

const bare = new Parts({ kernel: "", ask: () => {}, alive: () => true });

it("there are at least 300, each another", () => {
  expect(new Set(HOSTILE).size).toBe(HOSTILE.length);
  expect(HOSTILE.length).toBeGreaterThanOrEqual(300);
});

describe.each(["without colours and formulas", "with them"])("%s", (name) => {
  beforeAll(() => {
    if (name !== "with them") return;
    supply("math", math);
    supply("highlight", highlight);
  });
  afterAll(forget);

  it.each(HOSTILE)("%j", (text) => {
    for (const variant of [
      text,
      `> ${text}`,
      `a ${text} b`,
      `\`\`\`html\n${text}\n\`\`\``,
      `$${text}$`,
      `| ${text} |\n|-|`,
    ]) {
      const root = document.createElement("div");
      const stream = new MarkdownStream(root, bare);
      for (let length = 3; length < variant.length; length += 7) {
        stream.show(variant.slice(0, length), false);
        check(root);
      }
      stream.show(variant, true);
      check(root);
    }
  });

  it("all in one", () => {
    const root = document.createElement("div");
    new MarkdownStream(root, bare).show(HOSTILE.join("\n\n"), true);
    check(root);
  });
});

it("a formula takes no more room than a few lines", () => {
  for (const tex of ["\\rule{9999em}{9999em}", "\\kern-9999em x", "\\raisebox{-9999em}{x}", "\\hspace{9e9pt}"]) {
    expect(math.draw(tex, true)?.outerHTML ?? "").not.toMatch(/(?<![.\d])\d{3}/);
  }
});
