// A small plot: the scores, or another figure, by the values of a dimension.

import { useState } from "preact/hooks";
import { count } from "../format";
import { Choice } from "./choice";
import { COLOURS, figure, type Measure, type Scale, scaleOf, share, summary } from "./measure";
import type { Dimension } from "./messages";
import { layout } from "./pivot";
import type { Run } from "./state";

interface ScoresProps {
  runs: readonly (Run | undefined)[];
  dimensions: readonly Dimension[];
  codes: readonly (readonly number[])[];
  measure: Measure;
  /** The dimension that is shown at first. */
  first: string;
}

/** More would be no summary. */
const MOST = 30;

export function Scores({ runs, dimensions, codes, measure, first }: ScoresProps) {
  const [open, setOpen] = useState(false);
  const [chosen, setChosen] = useState("");
  const varying = dimensions.filter(({ values }) => values.length > 1);
  const by = varying.find(({ name }) => name === (chosen || first))?.name ?? varying[0]?.name;
  const scale = scaleOf(runs, measure);
  if (!scale || !by) return null;
  const word = COLOURS[measure];
  return (
    <details class="lw-scores" open={open} onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>
        {word[0]?.toUpperCase()}
        {word.slice(1)} by {by}
      </summary>
      {open && (
        <>
          <Choice label="By" value={by} options={varying.map(({ name }) => [name, name] as const)} onPick={setChosen} />
          <Plot {...{ runs, dimensions, codes, measure, by, scale }} />
        </>
      )}
    </details>
  );
}

type PlotProps = Omit<ScoresProps, "first"> & { by: string; scale: Scale };

function Plot({ runs, dimensions, codes, measure, by, scale }: PlotProps) {
  const { rows } = layout(dimensions, codes, codes[0]?.length ?? 0, by, "");
  return (
    <table class="lw-plot">
      <thead>
        <tr>
          <th>{by}</th>
          <th class="lw-strip-head">
            <span>{figure(measure, scale.low)}</span>
            <span>{figure(measure, scale.high)}</span>
          </th>
          <th class="lw-number">mean</th>
          <th class="lw-number">runs</th>
        </tr>
      </thead>
      <tbody>
        {rows.slice(0, MOST).map(({ label, runs: group }) => {
          const sum = summary(runs, group, measure);
          return (
            <tr key={label}>
              <th scope="row">{label}</th>
              <td class="lw-strip">{sum && <Strip values={sum.values} mean={sum.mean} scale={scale} />}</td>
              <td class="lw-number">{sum ? `${figure(measure, sum.mean)} ± ${figure(measure, sum.spread)}` : "–"}</td>
              <td class="lw-number">{count(sum?.values.length ?? 0)}</td>
            </tr>
          );
        })}
      </tbody>
      {rows.length > MOST && (
        <caption class="lw-muted lw-small">
          The first {MOST} of {count(rows.length)}.
        </caption>
      )}
    </table>
  );
}

/** All values as dots in one path, and their mean as a line: however many there are, it is drawn at once. */
function Strip({ values, mean, scale }: { values: readonly number[]; mean: number; scale: Scale }) {
  const x = (value: number) => (100 * share(scale, value)).toFixed(1);
  return (
    <svg viewBox="-3 0 106 10" preserveAspectRatio="none" aria-hidden="true">
      <path class="lw-dots" d={values.map((value) => `M${x(value)} 5h0`).join("")} />
      <path class="lw-tick" d={`M${x(mean)} 0v10`} />
    </svg>
  );
}
