// Colours for code: highlight.js finds the parts, and its tree of them is turned into elements here. No HTML text is
// made or parsed on the way.

import hljs from "highlight.js/lib/core";
import bash from "highlight.js/lib/languages/bash";
import javascript from "highlight.js/lib/languages/javascript";
import json from "highlight.js/lib/languages/json";
import python from "highlight.js/lib/languages/python";
import r from "highlight.js/lib/languages/r";
import sql from "highlight.js/lib/languages/sql";
import typescript from "highlight.js/lib/languages/typescript";

for (const [name, language] of Object.entries({ bash, javascript, json, python, r, sql, typescript })) {
  hljs.registerLanguage(name, language);
}

/** Longer code is shown plain: colouring takes a while, and nobody reads it. */
const LONGEST = 50_000;

interface Node {
  scope?: string;
  children: (Node | string)[];
}

/** Returns the code as text and `<span>`s. */
export function highlight(code: string, language: string): (globalThis.Node | string)[] {
  if (code.length > LONGEST || !hljs.getLanguage(language)) return [code];
  const { _emitter } = hljs.highlight(code, { language, ignoreIllegals: true });
  return (_emitter as unknown as { rootNode: Node }).rootNode.children.map(toDom);
}

function toDom(node: Node | string): globalThis.Node | string {
  if (typeof node === "string") return node;
  const span = document.createElement("span");
  // "title.function" is coloured as a title
  if (node.scope) span.className = `lw-hl-${node.scope.split(".")[0]}`;
  span.append(...node.children.map(toDom));
  return span;
}
