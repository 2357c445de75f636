// Colours for code: highlight.js finds the parts, and its tree of them is turned into elements here. No HTML text is
// made or parsed on the way.

import hljs from "highlight.js/lib/core";
import bash from "highlight.js/lib/languages/bash";
import c from "highlight.js/lib/languages/c";
import cpp from "highlight.js/lib/languages/cpp";
import css from "highlight.js/lib/languages/css";
import diff from "highlight.js/lib/languages/diff";
import go from "highlight.js/lib/languages/go";
import ini from "highlight.js/lib/languages/ini";
import java from "highlight.js/lib/languages/java";
import javascript from "highlight.js/lib/languages/javascript";
import json from "highlight.js/lib/languages/json";
import julia from "highlight.js/lib/languages/julia";
import latex from "highlight.js/lib/languages/latex";
import markdown from "highlight.js/lib/languages/markdown";
import python from "highlight.js/lib/languages/python";
import r from "highlight.js/lib/languages/r";
import rust from "highlight.js/lib/languages/rust";
import sql from "highlight.js/lib/languages/sql";
import typescript from "highlight.js/lib/languages/typescript";
import xml from "highlight.js/lib/languages/xml";
import yaml from "highlight.js/lib/languages/yaml";

const LANGUAGES = {
  bash,
  c,
  cpp,
  css,
  diff,
  go,
  ini,
  java,
  javascript,
  json,
  julia,
  latex,
  markdown,
  python,
  r,
  rust,
  sql,
  typescript,
  xml,
  yaml,
};
for (const [name, language] of Object.entries(LANGUAGES)) hljs.registerLanguage(name, language);
// As notebooks and models name them.
hljs.registerAliases(["python3", "ipython", "ipython3"], { languageName: "python" });
hljs.registerAliases(["jl"], { languageName: "julia" });
hljs.registerAliases(["shell", "console"], { languageName: "bash" });

/** Longer code is shown plain: colouring takes a while, and nobody reads it. */
const LONGEST = 50_000;

interface Part {
  scope?: string;
  children: (Part | string)[];
}

/** Returns the code as text and `<span>`s, or `null` where it stays as it is. */
export function draw(code: string, language: string): (Node | string)[] | null {
  if (code.length > LONGEST || !hljs.getLanguage(language)) return null;
  const { _emitter } = hljs.highlight(code, { language, ignoreIllegals: true });
  return (_emitter as unknown as { rootNode: Part }).rootNode.children.map(toDom);
}

function toDom(part: Part | string): Node | string {
  if (typeof part === "string") return part;
  const span = document.createElement("span");
  // "title.function" is coloured as a title, and "language:xml" is code within code
  if (part.scope && /^[a-z_.-]+$/.test(part.scope)) span.className = `lw-hl-${part.scope.split(".")[0]}`;
  span.append(...part.children.map(toDom));
  return span;
}
