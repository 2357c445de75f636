// Formulas: Temml makes a tree of MathML of TeX, and of that tree only what is named here becomes elements. No markup is
// made or parsed on the way, and nothing that TeX can say leads out of the formula: no addresses, no classes or ids of
// the page, no size or place beyond a few lines.

import temml from "temml";

const NAMESPACE = "http://www.w3.org/1998/Math/MathML";

const ELEMENTS = new Set(
  (
    "math mrow mi mn mo ms mtext mspace mpadded mphantom mstyle mfrac msqrt mroot msub msup msubsup munder mover " +
    "munderover mmultiscripts mprescripts none mtable mtr mtd menclose"
  ).split(" "),
);

const LENGTH = /^-?(?:\d{1,2}(?:\.\d*)?|\.\d+)(?:e-\d+)?(?:em|ex|mu|pt|px|%)?$/;
const COLOUR = /^(?:#[\da-f]{3,8}|[a-z]{3,30})$/i;
const WORD = /^[a-z-]{1,30}$/;
const SMALL = /^-?\+?\d$/;

const ATTRIBUTES: Record<string, RegExp> = {
  accent: WORD,
  columnalign: /^[a-z ]{1,200}$/,
  depth: LENGTH,
  display: WORD,
  displaystyle: WORD,
  fence: WORD,
  form: WORD,
  height: LENGTH,
  largeop: WORD,
  linebreak: WORD,
  linethickness: LENGTH,
  lspace: LENGTH,
  mathbackground: COLOUR,
  mathcolor: COLOUR,
  mathsize: LENGTH,
  mathvariant: WORD,
  maxsize: LENGTH,
  minsize: LENGTH,
  movablelimits: WORD,
  rowspacing: LENGTH,
  rspace: LENGTH,
  scriptlevel: SMALL,
  separator: WORD,
  stretchy: WORD,
  symmetric: WORD,
  voffset: LENGTH,
  width: LENGTH,
};

const LENGTHS = /^(?:-?(?:\d{1,2}(?:\.\d*)?|\.\d+)(?:e-\d+)?(?:em|ex|pt|px|%)? ?){1,4}$/;
const BORDER = /^(?:(?:\d(?:\.\d*)?|\.\d+)(?:em|px) )?(?:solid|dashed)?(?: [a-z]+)?$/;

const STYLES: Record<string, RegExp> = {
  border: BORDER,
  borderBottom: BORDER,
  borderLeft: BORDER,
  borderRight: BORDER,
  borderTop: BORDER,
  color: COLOUR,
  fontWeight: WORD,
  mathDepth: SMALL,
  padding: LENGTHS,
  paddingBottom: LENGTH,
  paddingLeft: LENGTH,
  paddingRight: LENGTH,
  paddingTop: LENGTH,
  textAlign: WORD,
};

/** Temml's own classes, for which markdown.css has rules. */
const CLASS =
  /^(?:tml-(?:left|right|jot|small|display|overline|underline|fbox|cancel|xcancel)|upstrike|downstrike|sout)$/;

interface Tree {
  type?: string;
  text?: string;
  attributes?: Record<string, unknown>;
  classes?: string[];
  style?: Record<string, unknown>;
  children?: Tree[];
}

/** Longer than any formula that somebody reads. */
const LONGEST = 10_000;
const CACHED = 300;
const known = new Map<string, Element | null>();

/** Returns the formula as a `<math>` element, or `null` where it is not understood. */
export function draw(tex: string, display: boolean): Element | null {
  const key = `${display}${tex}`;
  let made = known.get(key);
  if (made === undefined) {
    made = make(tex, display);
    if (known.size >= CACHED) known.clear();
    known.set(key, made);
  }
  // The last block is drawn again with every token.
  return (made?.cloneNode(true) as Element | undefined) ?? null;
}

function make(tex: string, displayMode: boolean): Element | null {
  if (tex.length > LONGEST) return null;
  try {
    const tree = temml.__renderToMathMLTree(tex, {
      displayMode,
      throwOnError: true,
      trust: false,
      strict: false,
      maxExpand: 500,
      maxSize: [30, 500],
      wrap: displayMode ? "none" : "tex",
    }) as Tree;
    const [math] = toDom(tree);
    return math instanceof Element && math.localName === "math" ? math : null;
  } catch {
    return null; // half a formula, or none
  }
}

function toDom(tree: Tree): Node[] {
  if (typeof tree.text === "string") return [document.createTextNode(tree.text)];
  const children = (tree.children ?? []).flatMap(toDom);
  // Wrappers of HTML that Temml sometimes puts between: their content alone.
  if (!tree.type || !ELEMENTS.has(tree.type)) return tree.type === "annotation" ? [] : children;
  const made = document.createElementNS(NAMESPACE, tree.type);
  for (const [name, value] of Object.entries(tree.attributes ?? {})) {
    if (Object.hasOwn(ATTRIBUTES, name) && ATTRIBUTES[name]?.test(String(value)))
      made.setAttribute(name, String(value));
  }
  const styles = Object.entries(tree.style ?? {})
    .filter(([name, value]) => Object.hasOwn(STYLES, name) && STYLES[name]?.test(String(value)))
    .map(([name, value]) => `${name.replace(/[A-Z]/g, "-$&").toLowerCase()}:${value}`);
  if (styles.length) made.setAttribute("style", styles.join(";"));
  const classes = (tree.classes ?? []).filter((each) => CLASS.test(each));
  if (classes.length) made.setAttribute("class", classes.join(" "));
  made.append(...children);
  return [made];
}
