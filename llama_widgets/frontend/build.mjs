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
const WIDGET_BUDGET_KB = { size: 30, zipped: 12 };
const here = (path) => fileURLToPath(new URL(path, import.meta.url));

/** Widgets that a page loads when it first shows one: each is src/NAME.tsx, src/NAME/ and styles/NAME.css. */
const WIDGET_PARTS = ["compare", "sweep", "tokens"];

const options = {
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
};
const { outputFiles, metafile } = await build({
  ...options,
  metafile: true,
  entryPoints: [
    here("src/loader.ts"),
    here("src/widgets.ts"),
    here("styles/widgets.css"),
    here("src/parts/highlight.ts"),
    here("styles/highlight.css"),
    here("src/parts/math.ts"),
    here("styles/math.css"),
  ],
});
const main = Object.entries(metafile.outputs).find(([path]) => basename(path) === "widgets.js")[1];

/** What is not a widget's own comes from src/core.ts, which is in the page already. */
const shared = (name) => ({
  name: "shared",
  setup({ onResolve, resolve }) {
    onResolve({ filter: /./ }, async ({ path, importer, kind, resolveDir, pluginData }) => {
      if (kind === "entry-point" || pluginData === "resolving") return undefined;
      const found = await resolve(path, { importer, kind, resolveDir, pluginData: "resolving" });
      const own = found.path.startsWith(here(`src/${name}/`)) || !found.path.startsWith(here("src/"));
      return own && !/^preact(\/|$)/.test(path) ? found : { path: "llama-widgets-core", external: true };
    });
  },
});
for (const name of WIDGET_PARTS) {
  const entryPoints = [here(`src/${name}.tsx`), here(`styles/${name}.css`)];
  const part = await build({ ...options, entryPoints, plugins: [shared(name)] });
  outputFiles.push(...part.outputFiles);
  for (const [, names] of part.outputFiles[0].text.matchAll(/import\s*\{([^}]*)\}\s*from\s*"llama-widgets-core"/g)) {
    const missing = names
      .split(",")
      .map((each) => each.trim().split(" ")[0])
      .filter((each) => !main.exports.includes(each));
    if (missing.length) throw Error(`src/core.ts must export what src/${name} takes from it: ${missing.join(", ")}`);
  }
}

// Whole or not at all: a kernel may be reading them.
await mkdir(here("../static"), { recursive: true });
const built = new Map(outputFiles.map(({ path, contents }) => [basename(path), contents]));
for (const { path, contents } of outputFiles) {
  await writeFile(`${path}.new`, contents);
  await rename(`${path}.new`, path);
}

const kB = (parts) => parts.reduce((sum, { length }) => sum + length, 0) / 1000;
const ofWidgets = WIDGET_PARTS.map((name) => ({ names: [`${name}.js`, `${name}.css`], ...WIDGET_BUDGET_KB }));
for (const { names, size, zipped } of [...BUDGETS_KB, ...ofWidgets]) {
  const parts = names.map((name) => built.get(name));
  const now = [kB(parts), kB(parts.map((part) => gzipSync(part)))];
  console.log(`${names.join(" + ")} ${now[0].toFixed(1)} kB of ${size}, gzip ${now[1].toFixed(1)} of ${zipped}`);
  if (now[0] > size || now[1] > zipped) process.exitCode = 1;
}

// A wheel would carry what an earlier build has left.
for (const name of await readdir(here("../static"))) {
  if (!built.has(name)) await rm(here(`../static/${name}`));
}
