// Builds the code and the style of all widgets, the loader that each of them carries, and the parts that a page loads
// when it first needs them, into ../static.

import { mkdir, readdir, rename, rm, writeFile } from "node:fs/promises";
import { basename } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const BUDGET_KB = { "loader.js": 1, "widgets.js": 200, "widgets.css": 20, "highlight.js": 120, "highlight.css": 2, "math.js": 230, "math.css": 2 };
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
for (const { path, contents } of outputFiles) {
  await writeFile(`${path}.new`, contents);
  await rename(`${path}.new`, path);

  const name = basename(path);
  const [size, budget] = [contents.length / 1000, BUDGET_KB[name]];
  console.log(`${name} ${size.toFixed(1)} kB of ${budget} kB`);
  if (size > budget) process.exitCode = 1;
}

// A wheel would carry what an earlier build has left.
for (const name of await readdir(here("../static"))) {
  if (!(name in BUDGET_KB)) await rm(here(`../static/${name}`));
}
