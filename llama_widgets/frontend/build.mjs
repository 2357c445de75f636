// Builds the code and the style of all widgets, the loader that each of them carries, and the parts that a page loads
// when it first needs them, into ../static.

import { mkdir, readdir, rename, rm, writeFile } from "node:fs/promises";
import { basename } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

// What a page gets for the first widget is counted together: the code and the style of all of them.
const BUDGETS_KB = [
  { names: ["loader.js"], size: 1, zipped: 1 },
  { names: ["widgets.js", "widgets.css"], size: 200, zipped: 70 },
  { names: ["highlight.js", "highlight.css"], size: 120, zipped: 40 },
  { names: ["math.js", "math.css"], size: 230, zipped: 70 },
];
const here = (path) => fileURLToPath(new URL(path, import.meta.url));

const { outputFiles } = await build({
  entryPoints: [
    here("src/loader.ts"),
    here("src/widgets.ts"),
    here("styles/widgets.css"),
    here("src/parts/highlight.ts"),
    here("styles/highlight.css"),
    here("src/parts/math.ts"),
    here("styles/math.css"),
  ],
  entryNames: "[name]",
  outdir: here("../static"),
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  jsx: "automatic",
  jsxImportSource: "preact",
  legalComments: "inline",
  logLevel: "warning",
  write: false,
});

// Whole or not at all: a kernel may be reading them.
await mkdir(here("../static"), { recursive: true });
const built = new Map(outputFiles.map(({ path, contents }) => [basename(path), contents]));
for (const { path, contents } of outputFiles) {
  await writeFile(`${path}.new`, contents);
  await rename(`${path}.new`, path);
}

const kB = (parts) => parts.reduce((sum, { length }) => sum + length, 0) / 1000;
for (const { names, size, zipped } of BUDGETS_KB) {
  const parts = names.map((name) => built.get(name));
  const now = [kB(parts), kB(parts.map((part) => gzipSync(part)))];
  console.log(`${names.join(" + ")} ${now[0].toFixed(1)} kB of ${size}, gzip ${now[1].toFixed(1)} of ${zipped}`);
  if (now[0] > size || now[1] > zipped) process.exitCode = 1;
}

// A wheel would carry what an earlier build has left.
for (const name of await readdir(here("../static"))) {
  if (!built.has(name)) await rm(here(`../static/${name}`));
}
