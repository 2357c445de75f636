// The table of models: those on this machine, or those that were found on the hub with their files.

import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { bytes, count, day, roughBytes, roughCount, shortContext } from "../format";
import type { Fit, ModelEntry } from "../messages";
import { folderOf } from "./choice";
import { fileOf, isTooBig, nameOfRow, type Row } from "./rows";

/** What the buttons of the rows do. */
export interface RowActions {
  choose: (row: Row) => void;
  load: (model: string) => void;
  unload: () => void;
  download: (model: string) => void;
  toggle: (model: string) => void;
}

interface TableProps extends RowActions {
  id: string;
  label: string;
  rows: readonly Row[];
  /** The row that the arrow keys are at, and the one to scroll to. */
  at: number;
  shown: number;
  value: string;
  loaded: string;
  used: string;
  busy: boolean;
  free: number;
}

export function Table(props: TableProps) {
  const { id, label, rows, at, shown, free } = props;
  const scroller = useRef<HTMLDivElement>(null);
  useEffect(() => {
    // Not by scrollIntoView, which would scroll the notebook as well.
    const box = scroller.current;
    const row = box?.querySelectorAll("tr")[shown + 1];
    if (!box || !row || shown < 0) return;
    const top = row.offsetTop - (box.querySelector("thead")?.offsetHeight ?? 0);
    const bottom = row.offsetTop + row.offsetHeight - box.clientHeight;
    box.scrollTop = Math.max(bottom, Math.min(top, box.scrollTop));
  }, [shown, rows.length]);
  return (
    <div class="lw-scroll" ref={scroller} hidden={rows.length === 0}>
      {/* biome-ignore lint/a11y/noNoninteractiveElementToInteractiveRole: the popup of a combobox may be a grid */}
      <table class="lw-models" role="grid" id={id} aria-label={label}>
        <thead>
          <tr>
            <th>Model</th>
            <th>Quantisation</th>
            <th class="lw-number">Size</th>
            <th>{free ? `Fits in ${roughBytes(free)} free?` : "Fits?"}</th>
            <th>
              <span class="lw-hidden">Action</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {rows.map((row, index) => (
            <TableRow {...props} key={row.key} id={`${id}-${index}`} row={row} active={index === at} />
          ))}
        </tbody>
      </table>
    </div>
  );
}

interface RowProps extends TableProps {
  row: Row;
  active: boolean;
}

function TableRow(props: RowProps) {
  const { row } = props;
  switch (row.kind) {
    case "here":
      return <HereRow {...props} row={row} />;
    case "repo":
      return <RepoRow {...props} row={row} />;
    case "file":
      return <FileRow {...props} row={row} />;
  }
}

type Of<K extends Row["kind"]> = RowProps & { row: Extract<Row, { kind: K }> };

const SOURCES: Record<ModelEntry["source"], string> = {
  demo: "comes with the demo",
  cache: "in the hub's cache",
  ollama: "kept by Ollama",
  "lm-studio": "kept by LM Studio",
  folder: "",
};

function HereRow(props: Of<"here">) {
  const { row, value, loaded, used, busy, load, unload } = props;
  const { entry, fit } = row;
  const from = entry.model.startsWith("hf:") ? entry.model.slice(3) : SOURCES[entry.source] || folderOf(entry.path);
  const isUsed = entry.path === used;
  return (
    <Line {...props} chosen={entry.model === value}>
      <td>
        <b>{entry.name}</b>
        <div class="lw-muted lw-small" title={entry.path}>
          {entry.path === loaded ? `${from} · loaded` : from}
        </div>
        <Narrow quantisation={entry.quantisation} size={entry.size} fit={fit} />
      </td>
      <td>{entry.quantisation}</td>
      <td class="lw-number">{bytes(entry.size)}</td>
      <FitCell fit={fit} />
      <Action
        word={isUsed ? "Unload" : "Load"}
        name={nameOfRow(row)}
        disabled={!isUsed && busy}
        onClick={() => (isUsed ? unload() : load(entry.model))}
      />
    </Line>
  );
}

function RepoRow(props: Of<"repo">) {
  const { row, toggle } = props;
  const { found, open } = row;
  const facts = [
    found.licence,
    found.n_params ? `${roughCount(found.n_params)} parameters` : "",
    found.downloads ? `${count(found.downloads)} downloads a month` : "",
    found.likes ? `${count(found.likes)} likes` : "",
    found.updated ? `changed ${day(found.updated)}` : "",
    found.gated ? "needs a token" : "",
  ];
  return (
    <Line {...props} expanded={open}>
      <td colSpan={4}>
        <b>{nameOfRow(row)}</b>
        <div class="lw-muted lw-small">{facts.filter(Boolean).join(" · ")}</div>
        {found.good_at && <div class="lw-small">{found.good_at}</div>}
      </td>
      <Action word={open ? "Hide files" : "Show files"} name={nameOfRow(row)} onClick={() => toggle(found.model)} />
    </Line>
  );
}

function FileRow(props: Of<"file">) {
  const { row, used, busy, load, unload, download } = props;
  const { file, here, token } = row;
  const isUsed = here !== undefined && here.path === used;
  return (
    <Line {...props}>
      <td class="lw-file">
        <span class="lw-small">{fileOf(file.model)}</span>
        {here && <div class="lw-muted lw-small">on this machine</div>}
        <Narrow quantisation={file.quantisation} size={file.size} fit={file.fit ?? undefined} />
      </td>
      <td>{file.quantisation}</td>
      <td class="lw-number">{bytes(file.size)}</td>
      <FitCell fit={file.fit ?? undefined} instead={token ? "needs a token" : ""} />
      {here ? (
        <Action
          word={isUsed ? "Unload" : "Load"}
          name={nameOfRow(row)}
          disabled={!isUsed && busy}
          onClick={() => (isUsed ? unload() : load(here.model))}
        />
      ) : (
        <Action word="Download" name={nameOfRow(row)} disabled={isTooBig(row)} onClick={() => download(file.model)} />
      )}
    </Line>
  );
}

/** What stands in columns of its own where there is room for them. */
function Narrow({ quantisation, size, fit }: { quantisation: string; size: number; fit: Fit | undefined }) {
  return (
    <div class="lw-narrow lw-small">
      <span class="lw-muted">{[quantisation, bytes(size)].filter(Boolean).join(" · ")}</span>{" "}
      {fit && <span class={CLASSES[fit.verdict]}>{fitText(fit)}</span>}
    </div>
  );
}

interface LineProps extends RowProps {
  chosen?: boolean;
  expanded?: boolean;
  children: ComponentChildren;
}

function Line({ id, row, active, choose, chosen = false, expanded, children }: LineProps) {
  return (
    <tr
      id={id}
      class={active ? "lw-active" : ""}
      aria-selected={chosen}
      {...(expanded === undefined ? {} : { "aria-expanded": expanded })}
      onClick={() => choose(row)}
    >
      {children}
    </tr>
  );
}

const CLASSES: Record<Fit["verdict"], string> = { fits: "lw-fits", tight: "lw-tight", "too big": "lw-too-big" };

/** "fits · 0.3 GB at 8k", in the colour of the verdict, which is never the only sign of it. */
export function fitText({ verdict, total, n_ctx }: Fit): string {
  const size = roughBytes(total);
  return verdict === "too big" ? `too big · needs ${size}` : `${verdict} · ${size} at ${shortContext(n_ctx)}`;
}

function FitCell({ fit, instead = "" }: { fit: Fit | undefined; instead?: string }) {
  return <td class={fit ? CLASSES[fit.verdict] : "lw-muted"}>{fit ? fitText(fit) : instead}</td>;
}

interface ActionProps {
  word: string;
  name: string;
  disabled?: boolean;
  onClick: () => void;
}

function Action({ word, name, disabled = false, onClick }: ActionProps) {
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: only keeps the button's click from choosing the row as well
    <td class="lw-action" onClick={(event) => event.stopPropagation()}>
      <button
        type="button"
        class="lw-button"
        aria-label={`${word} ${name}`}
        // The arrow keys and the buttons above do the same: a list of many models is one stop on the way of Tab.
        tabIndex={-1}
        disabled={disabled}
        onClick={onClick}
      >
        {word}
      </button>
    </td>
  );
}
