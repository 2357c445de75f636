// Builds one bundle and one style sheet per widget into ../static. An anywidget module cannot be split, so what two
// widgets share is in both; the budgets keep that honest.

import { mkdir, rename, stat, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const BUDGET_KB = { chat: 200, selector: 30, download: 30 };
const here = (path) => fileURLToPath(new URL(path, import.meta.url));

const { outputFiles } = await build({
  entryPoints: Object.keys(BUDGET_KB).flatMap((name) => [
    { in: here(`src/${name}.tsx`), out: name },
    { in: here(`styles/${name}.css`), out: name },
  ]),
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
}

for (const [name, budget] of Object.entries(BUDGET_KB)) {
  const { size } = await stat(here(`../static/${name}.js`));
  console.log(`${name}.js ${(size / 1000).toFixed(1)} kB of ${budget} kB`);
  if (size > budget * 1000) process.exitCode = 1;
}
