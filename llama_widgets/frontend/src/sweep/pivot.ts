// Which run stands where. The grid is made of lines of one height: a row has as many as its fullest cell has runs.

import type { Dimension } from "./messages";

/** The runs that have one value of a dimension. */
export interface Group {
  label: string;
  runs: number[];
}

export interface Line {
  row: number;
  /** Which of the row's lines it is, of how many. */
  at: number;
  of: number;
  /** The runs by their columns. */
  cells: ReadonlyMap<number, number>;
}

export interface Layout {
  rows: readonly Group[];
  columns: readonly Group[];
  lines: readonly Line[];
  /** How many runs the fullest cell has. */
  deepest: number;
  /** Says of a run what neither its row nor its column does. */
  rest: (run: number) => string;
}

/** Characters of each part of what is said before a reply, which is to be seen too. */
const PART = 18;

type Codes = readonly (readonly number[])[];

/** `rows` and `columns` are names of dimensions, "" for none. */
export function layout(
  dimensions: readonly Dimension[],
  codes: Codes,
  total: number,
  rows: string,
  columns: string,
): Layout {
  const [down, downOf] = groups(dimensions, codes, total, rows);
  const [across, acrossOf] = groups(dimensions, codes, total, columns);
  const cells: Map<number, number[]>[] = down.map(() => new Map());
  for (let run = 0; run < total; run += 1) {
    const row = cells[downOf(run)];
    const column = acrossOf(run);
    const cell = row?.get(column);
    if (cell) cell.push(run);
    else row?.set(column, [run]);
  }
  let deepest = 0;
  const lines = cells.flatMap((row, index): Line[] => {
    const of = Math.max(...[...row.values()].map(({ length }) => length));
    deepest = Math.max(deepest, of);
    const made = Array.from({ length: of }, (_, at) => ({ row: index, at, of, cells: new Map<number, number>() }));
    for (const [column, runs] of row) {
      runs.forEach((run, at) => {
        made[at]?.cells.set(column, run);
      });
    }
    return made;
  });
  const others = dimensions.filter(({ name, values }) => values.length > 1 && name !== rows && name !== columns);
  const rest = (run: number) => others.map((each) => short(partOf(dimensions, codes, each, run))).join(" · ");
  return { rows: down, columns: across, lines, deepest, rest };
}

function short(part: string): string {
  return part.length > PART ? `${part.slice(0, PART - 1).trimEnd()}…` : part;
}

/** "temperature 0.7": what a run has of a dimension. */
export function partOf(dimensions: readonly Dimension[], codes: Codes, dimension: Dimension, run: number): string {
  return named(dimension, codes[dimensions.indexOf(dimension)]?.[run] ?? -1);
}

/** All that tells a run from the others. */
export function titleOf(dimensions: readonly Dimension[], codes: Codes, run: number): string {
  const varying = dimensions.filter(({ values }) => values.length > 1);
  return varying.map((each) => partOf(dimensions, codes, each, run)).join(" · ");
}

function named({ kind, name, values }: Dimension, code: number): string {
  const value = values[code] ?? "none";
  return kind === "prompt" || kind === "model" || kind === "variable" ? value : `${name} ${value}`;
}

function groups(
  dimensions: readonly Dimension[],
  codes: Codes,
  total: number,
  name: string,
): [Group[], (run: number) => number] {
  const index = dimensions.findIndex((each) => each.name === name);
  const [dimension, column] = [dimensions[index], codes[index]];
  if (!dimension || !column) return [[{ label: "", runs: Array.from({ length: total }, (_, run) => run) }], () => 0];
  const byCode = new Map<number, Group>();
  for (let run = 0; run < total; run += 1) {
    const code = column[run] ?? -1;
    const known = byCode.get(code);
    if (known) known.runs.push(run);
    else byCode.set(code, { label: named(dimension, code), runs: [run] });
  }
  const order = [...byCode.keys()].sort((a, b) => a - b);
  const places = new Map(order.map((code, at) => [code, at]));
  return [order.map((code) => byCode.get(code) as Group), (run) => places.get(column[run] ?? -1) ?? 0];
}
