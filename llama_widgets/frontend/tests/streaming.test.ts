// Text that grows: what is drawn at any moment, what stays, and what it ends as.

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { closed } from "../src/markdown/half";
import { forget, Parts, supply } from "../src/markdown/parts";
import { MarkdownStream } from "../src/markdown/stream";
import * as highlight from "../src/parts/highlight";
import * as math from "../src/parts/math";

const parts = new Parts({ kernel: "", ask: () => {}, alive: () => true });
beforeAll(() => {
  supply("math", math);
  supply("highlight", highlight);
});
afterAll(forget);

function draw(text: string, ended: boolean): HTMLElement {
  const root = document.createElement("div");
  new MarkdownStream(root, parts).show(text, ended);
  return root;
}

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
  "A sum $\\sum_{i=1}^n i$ and \\(a_b * c_d\\), which costs $5 and $6.\n\n$$\nx = \\frac{1}{2}\n- y\n$$\n\n\\[\na\n\\]\n\nText:\n$$y$$\nmore $$z$$ end\n\n- item\n  $$\n  q\n  $$\n\n| $a$ | b |\n|---|---|\n| 1 | $x^2$ |\n",
  "A note.[^1] Another[^b], and the first[^1].\n\n[^1]: Said *so*.\n[^b]: Two lines\n    go on\n\n    and a paragraph\n\nThe end.",
  'See https://example.org/a_b_c, <https://example.org>, www.example.org and me@example.org &amp; &copy; &#8594; &nope; &am\n\n- [ ] to do\n- [x] done\n\n![picture](https://example.org/a.png) and [a [nested] one](https://example.org/(x) "title").',
  "```math\nx^2\n```\n\n```diff\n- a\n+ b\n```\n\n1) one\n2) two\n\n+ plus\n\n\\* no list\n\n\\$5 and \\[x\\] <b>bold</b> 2 * 3 * 4 snake_case_name ~~gone~~ ~one~",
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
    const expected = draw(text, true).innerHTML;
    for (const longest of [1, 5, 40, 200]) {
      const root = document.createElement("div");
      const stream = new MarkdownStream(root, parts);
      for (const piece of cuts(text, random, longest)) stream.show(piece, false);
      stream.show(text, true);
      expect(root.innerHTML).toBe(expected);
    }
  });

  it("1,000 times, in any pieces, and all but the last block stay the elements they are", () => {
    const everything = DOCUMENTS.join("\n\n");
    const expected = draw(everything, true).innerHTML;
    let drawn = 0;
    for (let round = 0; round < 1000; round += 1) {
      // Long texts are cut less often, so that this ends.
      const text = round % 50 === 0 ? everything : (DOCUMENTS[round % DOCUMENTS.length] ?? "");
      const root = document.createElement("div");
      const stream = new MarkdownStream(root, parts);
      for (const piece of cuts(text, random, 1 + Math.floor(random() * (text === everything ? 400 : 60)))) {
        const before = [...root.childNodes];
        stream.show(piece, false);
        const after = [...root.childNodes];
        const settled = before.slice(0, -1);
        expect(after.slice(0, settled.length)).toEqual(settled);
        expect(after.slice(0, settled.length).every((node, index) => node === settled[index])).toBe(true);
        drawn += 1;
      }
      stream.show(text, true);
      expect(root.innerHTML).toBe(text === everything ? expected : draw(text, true).innerHTML);
    }
    expect(drawn).toBeGreaterThan(10_000);
  }, 300_000);

  it("and without references it is the same at every moment in between", () => {
    for (const text of [...DOCUMENTS, ...mixed].filter((each) => !each.includes("]:"))) {
      const root = document.createElement("div");
      const stream = new MarkdownStream(root, parts);
      for (const piece of cuts(text, random, 7)) {
        stream.show(piece, false);
        expect(root.innerHTML).toBe(draw(piece, false).innerHTML);
      }
    }
  });
});

// What models write.
const CLEAN = [
  "The **mean** is *robust*, `x = 1` is code, ***both*** and **bold with *inner* words** too. __Yes__ and ~~no~~.",
  "See [the docs](https://example.org/a_b?c=d) and **[this](https://example.org)** or <https://example.org/x>; [1] is none.",
  "Points:\n\n- **one**: first\n- two `code`\n  - nested *a*\n\n1. first\n2. second\n   more of it\n10. tenth\n\n- [ ] to do\n- [x] done",
  "| Name | **Value** |\n|------|------:|\n| `a` | 1 |\n| *b* | [x](https://example.org) |\n\nafter",
  "Items:\n- a\n- b\n\n# Title\n\n## With `code`\n\n> a quote\n> goes **on**\n\n***\n\nend",
  "Run:\n\n```python\ndef f():\n    return `1`\n```\n\nThen ``a ` b`` and 2 * 3 * 4, a_b_c, 5 < 6, x <b>y</b> &amp; &copy; it costs $5 and $6!",
  "![a picture](https://example.org/a.png) Hello! Is it? Yes: 42\n\n42. no\n\nC# and a * b, C:\\path \\*star\\*",
];

describe("what is shown while a text grows is the beginning of what it will be", () => {
  const shown = (root: HTMLElement) => root.textContent?.replace(/Copy code|\s+/g, "") ?? "";
  it.each(CLEAN)("%j", (text) => {
    const final = shown(draw(text, true));
    const root = document.createElement("div");
    const stream = new MarkdownStream(root, parts);
    let longest = 0;
    for (let length = 1; length <= text.length; length += 1) {
      stream.show(text.slice(0, length), false);
      const now = shown(root);
      expect(final.startsWith(now), `${JSON.stringify(text.slice(0, length))} shows ${now}`).toBe(true);
      expect(now.length, `${JSON.stringify(text.slice(0, length))} shows less: ${now}`).toBeGreaterThanOrEqual(longest);
      longest = now.length;
    }
  });
});

describe("half a block is already what it will be", () => {
  it.each([
    ["a fence", "text\n\n```py\nx", ".lw-fence code", "x"],
    ["the end of a fence", "```py\nx\n``", ".lw-fence code", "x"],
    ["a table of one row", "| a | b", "th:last-child", "b"],
    ["a table whose line is not complete", "| a | b |\n|--", "th:last-child", "b"],
    ["a formula", "$$\nx^", ".lw-math code.lw-tex", "x^"],
    ["a formula in a line", "so \\(x^", "p code", "x^"],
    ["another", "so $x^2 + y", "p code", "x^2 + y"],
    ["bold", "so **bol", "strong", "bol"],
    ["bold that ends", "so **bold*", "strong", "bold"],
    ["a link", "see [docs](https://exa", ".lw-dead-link", "docs"],
    ["code", "see `x = ", "code", "x = "],
    ["a footnote", "a\n\n[^1]: so **i", ".lw-notes strong", "i"],
  ])("%s", (_name, text, selector, content) => {
    expect(draw(text, false).querySelector(selector)?.textContent).toBe(content);
  });

  it.each([
    ["a word before a line", "Items:\n-", "Items:"],
    ["a heading", "text\n\n##", "text"],
    ["a number", "text\n\n12", "text"],
    ["a task", "- [x", ""],
    ["a bracket", "see [doc", "see "],
    ["an entity", "a &am", "a "],
    ["the definition of a link", "a\n\n[x]: https://exam", "a"],
  ])("%s is held back until it is clear", (_name, text, content) => {
    expect(draw(text, false).textContent).toBe(content);
    expect(draw(text, false).querySelector('[role="heading"]')).toBeNull();
  });

  it("what never closes is shown as it was written", () => {
    expect(draw("so **bold and `code\n\nnext", false).querySelector("p")?.textContent).toBe("so **bold and `code");
  });

  it.each(["**", "a **", "[", "](", "`", "$", "\\", "<", "&", "![", "*a **b", "_a *b", "~~x", "[a](b", "$$", "a $$x"])(
    "closing %j ends",
    (line) => expect(typeof closed(line)).toBe("string"),
  );
});

it("finished blocks stay the elements they are", () => {
  const root = document.createElement("div");
  const stream = new MarkdownStream(root, parts);
  stream.show("first\n\nsecond", false);
  stream.show("first\n\nsecond line\n\n", false);
  const first = root.firstChild;
  stream.show("first\n\nsecond line\n\nthird\n\nfourth", false);
  expect(root.firstChild).toBe(first);
  expect(root.textContent).toBe("firstsecond linethirdfourth");
});

it("draws at most the last block again: the work of a long answer does not grow with its length", () => {
  const root = document.createElement("div");
  const stream = new MarkdownStream(root, parts);
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
