// Choosing a model: type a path or a reference, or take one of those on this machine.

import type { AnyModel } from "@anywidget/types";
import { useEffect, useRef, useState } from "preact/hooks";
import { DownloadList } from "../download/row";
import { bytes, percent } from "../format";
import { useTraits, useUniqueId } from "../hooks";
import type { FromView, ModelEntry, SelectorTraits } from "../messages";
import { Alert, Bar, Notices } from "../ui";
import { newId } from "../wire";
import { folderOf, isReference, labelOf, matching, nameOf, target } from "./choice";

interface SelectorProps {
  model: AnyModel<SelectorTraits>;
  send: (message: FromView) => void;
  /** Path of the loaded model that can be unloaded here; in a panel only its own, while another's can be taken. */
  inUse?: string;
}

export function ModelSelector({ model, send, inUse }: SelectorProps) {
  const traits = useTraits(model, "value", "models", "loaded", "loading", "downloads", "error", "notices");
  const { value, models, loaded, loading, downloads, error, notices } = traits;
  /** What is typed; `null` while the box shows the chosen model. */
  const [typed, setTyped] = useState<string | null>(null);
  /** The row that the arrow keys are at. */
  const [at, setAt] = useState(-1);
  const grid = useUniqueId();
  const rows = matching(models, typed);
  const chosen = target(typed, rows[at], models, value);
  const used = inUse ?? loaded;
  const isUsed = chosen !== "" && loadedEntry(models, used)?.model === chosen;
  const download = isReference(chosen) && !models.some((entry) => entry.model === chosen);
  const scroller = useRef<HTMLDivElement>(null);
  const shown = at >= 0 ? at : rows.findIndex(({ model }) => model === value);
  useEffect(() => {
    // Not by scrollIntoView, which would scroll the notebook as well.
    const box = scroller.current;
    const row = box?.querySelectorAll("tr")[shown + 1];
    if (!box || !row || shown < 0) return;
    const top = row.offsetTop - (box.querySelector("thead")?.offsetHeight ?? 0);
    const bottom = row.offsetTop + row.offsetHeight - box.clientHeight;
    box.scrollTop = Math.max(bottom, Math.min(top, box.scrollTop));
  }, [shown, rows.length]);

  const start = (type: "choose" | "load_model" | "download_model", name: string) =>
    send({ type, request_id: newId(), model: name });
  const done = () => {
    setTyped(null);
    setAt(-1);
  };
  const choose = (name: string) => {
    if (name !== value) start("choose", name);
    done();
  };
  const act = (type: "load_model" | "download_model", name: string) => {
    if (!name) return;
    choose(name);
    start(type, name);
  };
  const enter = () => act(download ? "download_model" : "load_model", chosen);
  const unload = () => send({ type: "unload_model", request_id: newId() });

  return (
    <div class="lw-selector">
      <div class="lw-bar lw-row">
        <ModelBox
          grid={grid}
          rows={rows}
          at={at}
          text={typed ?? labelOf(models, value)}
          onType={(text) => {
            setTyped(text);
            setAt(text.trim() && !isPath(text) && matching(models, text).length > 0 ? 0 : -1);
          }}
          onMove={setAt}
          onEnter={enter}
          onEscape={typed === null && at < 0 ? undefined : done}
        />
        {download && (
          <button type="button" class="lw-button lw-primary" onClick={() => act("download_model", chosen)}>
            Download
          </button>
        )}
        <button
          type="button"
          class={isUsed || download ? "lw-button" : "lw-button lw-primary"}
          disabled={!isUsed && (!chosen || loading !== null)}
          onClick={() => (isUsed ? unload() : act("load_model", chosen))}
        >
          {isUsed ? "Unload" : "Load"}
        </button>
        <button type="button" class="lw-button" onClick={() => send({ type: "refresh", request_id: newId() })}>
          Refresh
        </button>
      </div>
      <Alert error={error} />
      {inUse === undefined && <Notices notices={notices} />}
      {loading && <Loading loading={loading} name={nameOf(models, loading.name)} send={send} />}
      <div class="lw-scroll" ref={scroller}>
        {/* biome-ignore lint/a11y/noNoninteractiveElementToInteractiveRole: the popup of a combobox may be a grid */}
        <table class="lw-models" role="grid" id={grid} aria-label="Models on this machine">
          <thead>
            <tr>
              <th>Model</th>
              <th>Quantisation</th>
              <th class="lw-number">Size</th>
              <th>
                <span class="lw-hidden">Action</span>
              </th>
            </tr>
          </thead>
          <tbody>
            {rows.map((entry, index) => (
              <Row
                key={entry.model}
                id={`${grid}-${index}`}
                entry={entry}
                active={index === at}
                chosen={entry.model === value}
                loaded={entry.path === loaded}
                used={entry.path === used}
                busy={loading !== null}
                onChoose={() => choose(entry.model)}
                onLoad={() => act("load_model", entry.model)}
                onUnload={unload}
              />
            ))}
          </tbody>
        </table>
        {rows.length === 0 && (
          <p class="lw-empty lw-muted">
            {models.length === 0
              ? "No model on this machine yet. Type a path, or a reference such as hf:user/repo:Q4_K_M."
              : "None on this machine. Enter loads a path and downloads a reference."}
          </p>
        )}
      </div>
      <DownloadList downloads={downloads} send={send} />
    </div>
  );
}

const isPath = (text: string) => isReference(text) || /[/\\]|\.gguf$/i.test(text);

function loadedEntry(models: readonly ModelEntry[], path: string): ModelEntry | undefined {
  return path ? models.find((entry) => entry.path === path || entry.model === path) : undefined;
}

interface ModelBoxProps {
  grid: string;
  rows: readonly ModelEntry[];
  at: number;
  text: string;
  onType: (text: string) => void;
  onMove: (at: number) => void;
  onEnter: () => void;
  /** `undefined` where there is nothing to take back. */
  onEscape: (() => void) | undefined;
}

function ModelBox({ grid, rows, at, text, onType, onMove, onEnter, onEscape }: ModelBoxProps) {
  const box = useRef<HTMLInputElement>(null);
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.isComposing) return;
    const moves: Record<string, (() => void) | undefined> = {
      ArrowDown: () => onMove(Math.min(at + 1, rows.length - 1)),
      ArrowUp: () => onMove(Math.max(at - 1, -1)),
      Enter: onEnter,
      Escape: onEscape,
    };
    const move = moves[event.key];
    if (!move) return;
    event.preventDefault();
    move();
  };
  const active = rows[at] ? `${grid}-${at}` : undefined;
  return (
    <input
      ref={box}
      class="lw-field lw-grow"
      type="text"
      role="combobox"
      aria-label="Model"
      aria-expanded="true"
      aria-haspopup="grid"
      aria-controls={grid}
      aria-autocomplete="list"
      {...(active ? { "aria-activedescendant": active } : {})}
      placeholder="A name, a path, or hf:user/repo:Q4_K_M"
      autocomplete="off"
      autocapitalize="off"
      spellcheck={false}
      value={text}
      onInput={(event) => onType(event.currentTarget.value)}
      onKeyDown={onKeyDown}
      onFocus={() => box.current?.select()}
    />
  );
}

const SOURCES: Record<ModelEntry["source"], string> = {
  demo: "comes with the demo",
  cache: "in the hub's cache",
  folder: "",
};

interface RowProps {
  id: string;
  entry: ModelEntry;
  active: boolean;
  chosen: boolean;
  loaded: boolean;
  used: boolean;
  busy: boolean;
  onChoose: () => void;
  onLoad: () => void;
  onUnload: () => void;
}

function Row({ id, entry, active, chosen, loaded, used, busy, onChoose, onLoad, onUnload }: RowProps) {
  const from = entry.model.startsWith("hf:") ? entry.model.slice(3) : SOURCES[entry.source] || folderOf(entry.path);
  const word = used ? "Unload" : "Load";
  return (
    <tr id={id} class={active ? "lw-active" : ""} aria-selected={chosen} onClick={onChoose}>
      <td>
        <b>{entry.name}</b>
        <div class="lw-muted lw-small" title={entry.path}>
          {loaded ? `${from} · loaded` : from}
        </div>
      </td>
      <td>{entry.quantisation}</td>
      <td class="lw-number">{bytes(entry.size)}</td>
      {/* biome-ignore lint/a11y/useKeyWithClickEvents: only keeps the button's click from choosing the row as well */}
      <td class="lw-action" onClick={(event) => event.stopPropagation()}>
        <button
          type="button"
          class="lw-button"
          aria-label={`${word} ${entry.name} ${entry.quantisation}`.trim()}
          // The arrow keys and the buttons above do the same: a list of many models is one stop on the way of Tab.
          tabIndex={-1}
          disabled={!used && busy}
          onClick={used ? onUnload : onLoad}
        >
          {word}
        </button>
      </td>
    </tr>
  );
}

interface LoadingProps {
  loading: NonNullable<SelectorTraits["loading"]>;
  name: string;
  send: (message: FromView) => void;
}

function Loading({ loading, name, send }: LoadingProps) {
  const label = useUniqueId();
  const { request_id, done, total } = loading;
  const part = percent(done, total);
  const text = part === null ? "Loading" : `Loading · ${part} %`;
  return (
    <div class="lw-download">
      <div class="lw-row">
        <b id={label} class="lw-ellipsis">
          {name}
        </b>
        <span class="lw-muted lw-small">{text}</span>
        <button
          type="button"
          class="lw-button lw-buttons"
          aria-describedby={label}
          onClick={() => send({ type: "abort", request_id: newId(), target: request_id })}
        >
          Cancel
        </button>
      </div>
      <Bar name={name} percent={part} text={text} />
    </div>
  );
}
