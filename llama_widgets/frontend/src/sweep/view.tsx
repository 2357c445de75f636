// The grid with what stands around it: how far the sweep is, what is seen where, a run in full, two side by side, scores.

import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { download } from "../files";
import { useStore, useTraits } from "../hooks";
import { Menu } from "../menu";
import { Alert, copy, Notices, Spoken } from "../ui";
import { newId } from "../wire";
import { Choice } from "./choice";
import { Grid } from "./grid";
import { Header } from "./header";
import { COLOURS, measureOf } from "./measure";
import type { Colour, SweepTraits } from "./messages";
import { layout, titleOf } from "./pivot";
import { RunView } from "./run";
import { Scores } from "./scores";
import type { SweepSession } from "./session";
import { Sides } from "./sides";

type Seen = Pick<SweepTraits, "rows" | "columns" | "colour">;

export function SweepGrid({ session }: { session: SweepSession }) {
  const { dimensions, codes, runs, standing, synced } = useStore(session.store, (state) => state);
  const { error, ...traits } = useTraits(session.model, "rows", "columns", "colour", "error");
  /** What was chosen here, until the kernel has heard of it. */
  const [chosen, setChosen] = useState<Seen | null>(null);
  useEffect(() => setChosen(null), [traits.rows, traits.columns, traits.colour]);
  const { rows, columns, colour } = chosen ?? traits;
  /** The run that is shown in full, or the two that are compared. */
  const [picked, setPicked] = useState<number[]>([]);
  const [choosing, setChoosing] = useState(false);
  const [said, setSaid] = useState("");
  const box = useRef<HTMLDivElement>(null);
  /** Whether the keyboard goes on in what is shown below. */
  const follow = useRef(false);

  const total = standing.total;
  const placed = useMemo(
    () => layout(dimensions, codes, total, rows, columns),
    [dimensions, codes, total, rows, columns],
  );
  const varying = dimensions.filter(({ values }) => values.length > 1);
  const title = (run: number) => titleOf(dimensions, codes, run) || `run ${run + 1}`;

  useEffect(() => {
    const shown = box.current?.querySelector<HTMLElement>(".lw-shown");
    if (follow.current) shown?.focus();
    else shown?.scrollIntoView?.({ block: "nearest" }); // below a grid that fills the page it would go unnoticed
    follow.current = false;
  }, [picked]);

  const arrange = (change: Partial<Seen>) => {
    const next = { rows, columns, colour, ...change };
    // What is in the rows cannot be in the columns as well: they change places.
    if (next.rows && next.rows === next.columns) {
      if (change.rows === undefined) next.rows = columns;
      else next.columns = rows;
    }
    setChosen(next);
    session.send({ type: "arrange", request_id: newId(), ...next });
  };
  const open = (run: number, how: "pointer" | "keyboard") => {
    follow.current = how === "keyboard";
    const [first] = picked;
    setPicked(choosing && first !== undefined && first !== run ? [first, run] : [run]);
    setChoosing(false);
  };
  const pick = (run: number) => {
    setPicked(picked.includes(run) ? picked.filter((each) => each !== run) : [...picked.slice(-1), run]);
    setChoosing(false);
  };
  const close = () => {
    setPicked([]);
    setChoosing(false);
    box.current?.querySelector<HTMLElement>('[role="grid"]')?.focus();
  };
  const table = async (use: (text: string) => unknown) => {
    use((await session.ask({ type: "give_table", request_id: newId() })).text);
  };

  const [first, second] = picked;
  return (
    <div ref={box}>
      <Header standing={standing} synced={synced} begun={runs.length > 0} session={session} />
      <Alert error={error} />
      <Notices notices={standing.notices} />
      <div class="lw-bar lw-row lw-axes">
        <Choice
          label="Rows"
          value={rows}
          options={[["", "none"], ...varying.map(({ name }) => [name, name] as const)]}
          onPick={(name) => arrange({ rows: name })}
        />
        <Choice
          label="Columns"
          value={columns}
          options={[["", "none"], ...varying.map(({ name }) => [name, name] as const)]}
          onPick={(name) => arrange({ columns: name })}
        />
        <Choice
          label="Colour"
          value={colour}
          options={Object.entries(COLOURS)}
          onPick={(name) => arrange({ colour: name as Colour })}
        />
        <span class="lw-grow" />
        <Menu
          label="Table"
          items={[
            { name: "Copy as CSV", onPick: () => table(async (text) => setSaid((await copy(text)) ? "Copied." : "")) },
            { name: "Download CSV", onPick: () => table((text) => download("sweep.csv", text)) },
          ]}
        />
      </div>
      <Grid layout={placed} runs={runs} rowsName={rows} colour={colour} picked={picked} onOpen={open} onPick={pick} />
      {choosing && (
        <p class="lw-empty lw-muted" role="status">
          Which run to compare with? Click it, or press Enter on it.
        </p>
      )}
      {first !== undefined && second === undefined && (
        <RunView
          key={first}
          session={session}
          index={first}
          run={runs[first]}
          title={title(first)}
          onCompare={() => {
            setChoosing(true);
            box.current?.querySelector<HTMLElement>('[role="grid"]')?.focus();
          }}
          onClose={close}
        />
      )}
      {first !== undefined && second !== undefined && (
        <Sides
          key={`${first} ${second}`}
          session={session}
          sides={[first, second].map((index) => ({ index, run: runs[index], title: title(index) }))}
          onClose={close}
        />
      )}
      <Scores runs={runs} dimensions={dimensions} codes={codes} measure={measureOf(colour)} first={columns || rows} />
      <p class="lw-sweep-foot lw-muted lw-small">to_dataframe() · text, tokens, tokens/s, stop reason, logprob, seed</p>
      <Spoken>{said}</Spoken>
    </div>
  );
}
