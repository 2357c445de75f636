// The grid. It may have thousands of cells, so only those in sight are drawn: all lines are of one height, all columns of
// one width. The keyboard stays with the grid as a whole, which names the cell that it is at: cells come and go.
//
// biome-ignore-all lint/a11y/useSemanticElements: a table lays out all of its cells, also those that nobody sees
// biome-ignore-all lint/a11y/useFocusableInteractive: the grid has the keyboard, and says which cell it is at

import type { TargetedKeyboardEvent } from "preact";
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { useUniqueId } from "../hooks";
import { Cell } from "./cell";
import { figure, length, measureOf, scaleOf, summary } from "./measure";
import type { Colour } from "./messages";
import type { Group, Layout, Line } from "./pivot";
import type { Run } from "./state";

interface GridProps {
  layout: Layout;
  runs: readonly (Run | undefined)[];
  rowsName: string;
  colour: Colour;
  /** The runs that are shown below or are picked for it. */
  picked: readonly number[];
  onOpen: (run: number, how: "pointer" | "keyboard") => void;
  onPick: (run: number) => void;
}

/** What is drawn beyond what is in sight, so that a little scrolling shows nothing empty. */
const BEYOND = 2;
const LEAST_WIDTH = 150;
const PADDING = 10;

interface Sight {
  top: number;
  left: number;
  width: number;
  height: number;
  /** Of one line of text. */
  text: number;
  head: number;
}

export function Grid({ layout, runs, rowsName, colour, picked, onOpen, onPick }: GridProps) {
  const { lines, columns, rows, deepest, rest } = layout;
  const id = useUniqueId();
  const scroller = useRef<HTMLDivElement>(null);
  const [sight, setSight] = useState<Sight>({ top: 0, left: 0, width: 800, height: 420, text: 20, head: 40 });
  const [at, setAt] = useState({ line: 0, column: 0 });
  const active = {
    line: Math.min(at.line, Math.max(0, lines.length - 1)),
    column: Math.min(at.column, columns.length - 1),
  };

  useLayoutEffect(() => {
    const box = scroller.current;
    if (!box) return;
    const look = () => {
      const text = Number.parseFloat(getComputedStyle(box).lineHeight) || 20;
      const head = box.querySelector<HTMLElement>(".lw-heads")?.offsetHeight ?? 0;
      setSight((before) => {
        const { scrollTop: top, scrollLeft: left, clientWidth: width, clientHeight: height } = box;
        const now = { top, left, width: width || before.width, height: height || before.height, text, head };
        return Object.entries(now).every(([name, value]) => before[name as keyof Sight] === value) ? before : now;
      });
    };
    look();
    const sizes = new ResizeObserver(look);
    sizes.observe(box);
    box.addEventListener("scroll", look, { passive: true });
    return () => {
      sizes.disconnect();
      box.removeEventListener("scroll", look);
    };
  }, [layout]);

  const textLines = deepest > 3 ? 1 : deepest > 1 ? 2 : 3;
  const lineHeight = Math.ceil(textLines * sight.text) + PADDING;
  const side = rowsName ? (sight.width < 560 ? 104 : 170) : 0;
  const width = Math.max(LEAST_WIDTH, Math.floor((sight.width - side) / Math.max(1, columns.length)));
  const firstLine = Math.min(Math.floor(sight.top / lineHeight), Math.max(0, lines.length - 1));
  const drawn = around(firstLine, sight.height / lineHeight, lines.length, active.line);
  const across = around(Math.floor(sight.left / width), (sight.width - side) / width, columns.length, active.column);

  const measure = measureOf(colour);
  const scale = useMemo(() => scaleOf(runs, measure), [runs, measure]);
  const mean = (group: Group) => {
    const sum = scale && summary(runs, group.runs, measure);
    if (!scale || !sum) return null;
    return (
      <span class="lw-mean lw-muted lw-small">
        <span class="lw-hidden">mean {measure.replace("_", " ")} </span>
        {figure(measure, sum.mean)}
        <span class="lw-meter" aria-hidden="true">
          <i style={{ width: `${100 * length(scale, sum.mean)}%` }} />
        </span>
      </span>
    );
  };

  const moved = useRef(false);
  useEffect(() => {
    const box = scroller.current;
    if (!box || !moved.current) return;
    moved.current = false;
    // Not by scrollIntoView, which would scroll the notebook as well.
    const top = active.line * lineHeight;
    const left = active.column * width;
    box.scrollTop = Math.max(top + lineHeight - (sight.height - sight.head), Math.min(top, box.scrollTop));
    box.scrollLeft = Math.max(left + width - (sight.width - side), Math.min(left, box.scrollLeft));
  });

  const onKeyDown = (event: TargetedKeyboardEvent<HTMLDivElement>) => {
    const { line, column } = active;
    const page = Math.max(1, Math.floor(sight.height / lineHeight) - 1);
    const far = event.ctrlKey || event.metaKey;
    const moves: Record<string, [number, number]> = {
      ArrowDown: [line + 1, column],
      ArrowUp: [line - 1, column],
      ArrowRight: [line, column + 1],
      ArrowLeft: [line, column - 1],
      PageDown: [line + page, column],
      PageUp: [line - page, column],
      Home: [far ? 0 : line, 0],
      End: [far ? lines.length - 1 : line, columns.length - 1],
    };
    const to = moves[event.key];
    const run = lines[line]?.cells.get(column);
    if (to) {
      moved.current = true;
      setAt({ line: clamp(to[0], lines.length), column: clamp(to[1], columns.length) });
    } else if (event.key === "Enter" && run !== undefined) onOpen(run, "keyboard");
    else if (event.key === " " && run !== undefined) onPick(run);
    else return;
    event.preventDefault();
  };

  const cellId = (line: number, column: number) => `${id}-${line}-${column}`;
  const total = side + width * columns.length;
  return (
    <div
      class="lw-runs"
      ref={scroller}
      role="grid"
      aria-label="Runs"
      aria-rowcount={lines.length + 1}
      aria-colcount={columns.length + 1}
      aria-multiselectable="true"
      aria-activedescendant={lines.length ? cellId(active.line, active.column) : undefined}
      tabIndex={0}
      onKeyDown={onKeyDown}
    >
      <div role="rowgroup" class="lw-heads" style={{ width: px(total) }}>
        <div role="row" class="lw-line" aria-rowindex={1}>
          <div role="columnheader" class="lw-side" style={{ width: px(side) }} aria-colindex={1}>
            <span class={side ? "" : "lw-hidden"}>{rowsName || "Rows"}</span>
          </div>
          {across.map((column) => (
            <div
              key={column}
              role="columnheader"
              style={place(column, across, width)}
              aria-colindex={column + 2}
              title={columns[column]?.label}
            >
              <span class="lw-clamp" style={{ "--lw-lines": 2 }}>
                {columns[column]?.label || <span class="lw-hidden">All runs</span>}
              </span>
              {columns.length > 1 && columns[column] && mean(columns[column])}
            </div>
          ))}
        </div>
      </div>
      <div role="rowgroup" class="lw-lines" style={{ width: px(total), height: px(lines.length * lineHeight) }}>
        {drawn.map((index) => {
          const line = lines[index] as Line;
          const group = rows[line.row] as Group;
          // The head of a row is as high as what is to be seen of the row, and stands beside the first of its lines.
          const heads = line.at === 0 || index === firstLine;
          return (
            <div
              key={index}
              role="row"
              class={`lw-line ${line.at === 0 ? "lw-begin" : ""}`}
              aria-rowindex={index + 2}
              style={{ top: px(index * lineHeight), height: px(lineHeight) }}
            >
              <div
                role="rowheader"
                class={`lw-side ${heads ? "" : "lw-below"}`}
                aria-colindex={1}
                style={{ width: px(side), height: px((heads ? line.of - line.at : 1) * lineHeight) }}
                title={group.label}
              >
                <span
                  class={heads && side ? "lw-clamp" : "lw-hidden"}
                  style={{ "--lw-lines": Math.max(1, (line.of - line.at) * textLines - 1) }}
                >
                  {group.label || "All runs"}
                </span>
                {heads && side > 0 && line.of * textLines > 1 && mean(group)}
              </div>
              {across.map((column) => {
                const run = line.cells.get(column);
                return (
                  <Cell
                    key={column}
                    id={cellId(index, column)}
                    style={place(column, across, width)}
                    column={column + 2}
                    active={index === active.line && column === active.column}
                    picked={run !== undefined && picked.includes(run)}
                    {...(run === undefined
                      ? {}
                      : {
                          run: runs[run] ?? WAITING,
                          label: rest(run),
                          onOpen: (pick: boolean) => {
                            setAt({ line: index, column });
                            if (pick) onPick(run);
                            else onOpen(run, "pointer");
                          },
                        })}
                    lines={textLines}
                    colour={colour}
                    scale={scale}
                  />
                );
              })}
            </div>
          );
        })}
      </div>
    </div>
  );
}

const WAITING: Run = {
  state: "waiting",
  text: "",
  stop_reason: "",
  tokens: null,
  seconds: null,
  mean_logprob: null,
  score: null,
};

function px(value: number): string {
  return `${value}px`;
}

function clamp(value: number, count: number): number {
  return Math.max(0, Math.min(count - 1, value));
}

/** What is in sight and a little more, and the one that the keyboard is at. */
function around(first: number, seen: number, count: number, also: number): number[] {
  const from = Math.max(0, first - BEYOND);
  const to = Math.min(count, first + Math.ceil(seen) + 1 + BEYOND);
  const shown = Array.from({ length: Math.max(0, to - from) }, (_, at) => from + at);
  if (also < 0 || also >= count || (also >= from && also < to)) return shown;
  return also < from ? [also, ...shown] : [...shown, also];
}

/** A column's width and, where those before it are not drawn, the room that they would take. */
function place(column: number, drawn: readonly number[], width: number): { width: string; marginLeft: string } {
  const at = drawn.indexOf(column);
  const before = drawn[at - 1] ?? -1;
  return { width: px(width), marginLeft: px((column - before - 1) * width) };
}
