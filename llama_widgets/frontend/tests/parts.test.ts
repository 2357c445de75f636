// The parts themselves, and how a page gets them.

import { afterEach, describe, expect, it, vi } from "vitest";
import { forget, type PartName, Parts, supply } from "../src/markdown/parts";
import { MarkdownStream } from "../src/markdown/stream";
import * as highlight from "../src/parts/highlight";
import * as math from "../src/parts/math";

afterEach(forget);

/** A widget of a kernel, and what it has asked for. */
function widget(kernel = "k") {
  const asked: PartName[] = [];
  const life = { alive: true };
  const parts = new Parts({ kernel, ask: (name) => asked.push(name), alive: () => life.alive });
  return { asked, life, parts };
}

function show(text: string, parts?: Parts, ended = true): HTMLElement {
  const root = document.createElement("div");
  new MarkdownStream(root, parts).show(text, ended);
  return root;
}

const CODE = "```python\ndef f(x):\n    return '<b>'\n```";
const FORMULA = "Well, $x^2$ is\n\n$$\n\\frac{1}{2}\n$$";

describe("a part", () => {
  it("is asked for when it is first needed, once per kernel, and not without need", () => {
    const { parts, asked } = widget();
    show("plain `code`\n\n```\nno language\n```", parts);
    expect(asked).toEqual([]);
    show(CODE, parts);
    show(CODE, parts);
    const second = widget();
    show(CODE, second.parts);
    const elsewhere = widget("other");
    show(CODE, elsewhere.parts);
    expect([asked, second.asked, elsewhere.asked]).toEqual([["highlight"], [], ["highlight"]]);
  });

  it("is asked for again when whoever asked cannot hear the answer any more", () => {
    const [first, second] = [widget(), widget()];
    show(CODE, first.parts);
    first.life.alive = false;
    show(CODE, second.parts);
    expect(second.asked).toEqual(["highlight"]);
  });

  it("is drawn in place when it comes: all else stays as it is", () => {
    const root = show(`${FORMULA}\n\n${CODE}\n\nend`, widget().parts);
    const there = [...root.childNodes];
    expect(root.querySelector("math, .lw-hl-keyword")).toBeNull();
    expect([...root.querySelectorAll(".lw-tex")].map((each) => each.textContent)).toEqual(["x^2", "\\frac{1}{2}"]);
    supply("math", math);
    supply("highlight", highlight);
    expect([...root.childNodes]).toEqual(there);
    expect(root.querySelectorAll("math")).toHaveLength(2);
    expect(root.querySelector(".lw-hl-keyword")?.textContent).toBe("def");
    expect(root.querySelector(".lw-tex")).toBeNull();
  });

  it("that cannot be evaluated leaves what there is, and says so in the console", async () => {
    URL.createObjectURL = () => "data:text/javascript,throw Error('no')";
    URL.revokeObjectURL = () => undefined;
    const warn = vi.spyOn(console, "warn").mockImplementation(() => {});
    const { parts } = widget();
    const root = show(CODE, parts);
    await parts.take({ name: "highlight", code: "", css: ".lw-x {}" });
    expect(warn).toHaveBeenCalledOnce();
    expect(root.querySelector("code")?.textContent).toContain("def f");
  });

  it("that comes as code is used", async () => {
    URL.createObjectURL = () => "data:text/javascript,export const draw = () => ['drawn'];";
    URL.revokeObjectURL = () => undefined;
    const { parts } = widget();
    const root = show(CODE, parts);
    await parts.take({ name: "highlight", code: "", css: ".lw-x {}" });
    expect(root.querySelector("code")?.textContent).toBe("drawn");
    expect(document.head.querySelector("style")?.textContent).toBe(".lw-x {}");
  });
});

const SAMPLES: Record<string, string> = {
  python: "def f(): return 1",
  python3: "def f(): return 1",
  py: "import os",
  r: "x <- function(a) NULL",
  julia: "function f(x) end",
  sql: "SELECT 1",
  bash: "if true; then echo 'x'; fi",
  sh: "if true; then echo 'x'; fi",
  json: '{"a": 1}',
  yaml: "a: 'b'",
  yml: "a: 'b'",
  javascript: "const a = 1",
  js: "const a = 1",
  typescript: "type A = string",
  tsx: "const a = 1",
  html: "<p class='a'>x</p>",
  xml: "<a b='c'/>",
  css: "a { color: red }",
  markdown: "# Title",
  c: "int main(void) { return 0; }",
  cpp: "class A {};",
  "c++": "class A {};",
  java: "class A {}",
  rust: "fn main() {}",
  go: "func main() {}",
  latex: "\\section{x}",
  tex: "\\section{x}",
  diff: "+ a\n- b",
  ini: "[a]\nb = 1",
  toml: "[a]\nb = 1",
};

describe("colours", () => {
  it.each(Object.entries(SAMPLES))("%s", (language, code) => {
    const root = document.createElement("code");
    root.append(...(highlight.draw(code, language) ?? []));
    expect(root.textContent).toBe(code);
    expect(root.querySelector("span[class^=lw-hl-]")).not.toBeNull();
  });

  it("none for a language that nobody knows", () => {
    expect(highlight.draw("+[<]", "brainfuck")).toBeNull();
    expect(highlight.draw("x", "__proto__")).toBeNull();
  });
});

describe("a formula", () => {
  it.each([
    "x^2",
    "\\frac{a}{b}",
    "\\sum_{i=1}^n i = \\frac{n(n+1)}{2}",
    "\\begin{pmatrix} a & b \\\\ c & d \\end{pmatrix}",
    "\\begin{aligned} x &= 1 \\\\ y &= 2 \\end{aligned}",
    "\\begin{cases} 1 & x > 0 \\\\ 0 & \\text{else} \\end{cases}",
    "\\sqrt[3]{x} \\to \\infty",
    "\\mathbb{R}^n \\ni \\vec{v}",
    "P(A \\mid B) = \\hat{\\theta}",
  ])("%s", (tex) => {
    for (const display of [true, false]) {
      const drawn = math.draw(tex, display);
      expect(drawn?.localName).toBe("math");
      expect(drawn?.namespaceURI).toBe("http://www.w3.org/1998/Math/MathML");
      expect(drawn?.textContent).not.toBe("");
    }
  });

  it("that is not understood is none", () => {
    expect(math.draw("\\frac{1", true)).toBeNull();
    expect(math.draw("\\nosuchcommand", true)).toBeNull();
    expect(math.draw("x".repeat(10_001), true)).toBeNull();
    expect(math.draw("\\def\\a{\\a\\a}\\a", true)).toBeNull();
  });
});
