// Choosing a model: one of those on this machine, or one of the hub; by its name, a path or a reference.

import type { AnyModel } from "@anywidget/types";
import { useRef, useState } from "preact/hooks";
import { DownloadList } from "../download/row";
import { useTraits, useUniqueId } from "../hooks";
import type { FromView, ModelEntry, SelectorTraits } from "../messages";
import { Alert, Notices } from "../ui";
import { newId } from "../wire";
import { useAsk } from "./ask";
import { ModelBox } from "./box";
import { isReference, labelOf, matching, nameOf, target } from "./choice";
import { Details } from "./details";
import { useHub } from "./hub";
import { HubStatus, Leftovers, Loading, NothingHere, Place } from "./parts";
import { isTooBig, type Row, rowsHere, rowsOfHub } from "./rows";
import { Table } from "./table";

interface SelectorProps {
  model: AnyModel<SelectorTraits>;
  send: (message: FromView) => void;
  /** Path of the loaded model that can be unloaded here; in a panel only its own, while another's can be taken. */
  inUse?: string;
}

export function ModelSelector({ model, send, inUse }: SelectorProps) {
  const traits = useTraits(
    model,
    "value",
    "models",
    "loaded",
    "loading",
    "downloads",
    "error",
    "notices",
    "fits",
    "free",
    "locked",
  );
  const { value, models, loaded, loading, downloads, error, notices, fits, free, locked } = traits;
  const ask = useAsk(model as AnyModel, send);
  const [place, setPlace] = useState<"here" | "hub">("here");
  /** What is typed; `null` while the box shows the chosen model. */
  const [typed, setTyped] = useState<string | null>(null);
  /** The key of the row that the arrow keys are at: its number changes when others come before it. */
  const [active, setActive] = useState<string | null>(null);
  const [detailed, setDetailed] = useState<string | null>(null);
  /** Tokens that were typed here, by their repository. They go with downloads, and are kept nowhere else. */
  const [tokens, setTokens] = useState<Record<string, string>>({});
  const opener = useRef<HTMLButtonElement>(null);
  const grid = useUniqueId();
  const onHub = place === "hub";
  const words = onHub && typed !== null && !isReference(typed.trim()) ? typed.trim() : "";
  const [hub, hubActions] = useHub(ask, send, words, onHub);
  const offered = locked ? models.filter(({ model }) => model === value) : models;
  const rows = onHub ? rowsOfHub(hub, models) : rowsHere(offered, fits, typed);
  const at = active === null ? -1 : rows.findIndex(({ key }) => key === active);
  const row = rows[at];
  const chosen = onHub ? modelOf(row) || reference(typed) : target(typed, entryOf(row), models, value);
  const used = inUse ?? loaded;
  const isUsed = chosen !== "" && loadedEntry(models, used)?.model === chosen;
  const download = isReference(chosen) && !models.some((entry) => entry.model === chosen);
  const tooBig = download && row?.kind === "file" && isTooBig(row);
  const shown = at >= 0 ? at : onHub ? -1 : rows.findIndex(({ key }) => key === value);

  const start = (type: "choose" | "load_model" | "download_model", name: string) => {
    const token = type === "download_model" ? tokens[repoOf(name)] : undefined;
    send({ type, request_id: newId(), model: name, ...(token ? { token } : {}) });
  };
  const done = () => {
    setTyped(null);
    setActive(null);
  };
  const choose = (name: string) => {
    if (name !== value) start("choose", name);
    if (!onHub) done();
  };
  const act = (type: "load_model" | "download_model", name: string) => {
    if (!name) return;
    choose(name);
    start(type, name);
  };
  const enter = () => {
    if (row?.kind === "repo") hubActions.toggle(row.found.model);
    else if (!tooBig) act(download ? "download_model" : "load_model", chosen);
  };
  const unload = () => send({ type: "unload_model", request_id: newId() });
  const chooseRow = (row: Row) => {
    setActive(onHub ? row.key : null);
    if (row.kind === "here") choose(row.entry.model);
    else if (row.kind === "repo") hubActions.toggle(row.found.model);
  };
  const go = (place: "here" | "hub") => {
    setPlace(place);
    setActive(null);
    setTyped(place === "hub" ? (typed ?? "") : null);
  };
  const type = (text: string) => {
    setTyped(text);
    const first = !onHub && text.trim() && !isPath(text) ? matching(models, text)[0] : undefined;
    setActive(first?.model ?? null);
  };
  const about = onHub ? (row ? modelOf(row) : "") || (row?.kind === "repo" ? row.found.model : "") : chosen;

  return (
    <div class="lw-selector">
      <div class="lw-bar lw-row">
        <ModelBox
          grid={grid}
          active={row ? `${grid}-${at}` : undefined}
          disabled={Boolean(locked)}
          text={typed ?? (onHub ? "" : labelOf(models, value))}
          placeholder={onHub ? "Search the hub, such as qwen3 4b" : "A name, a path, or hf:user/repo:Q4_K_M"}
          onType={type}
          onMove={(by) => setActive(rows[Math.min(at + by, rows.length - 1)]?.key ?? null)}
          onEnter={enter}
          onEscape={typed === null && at < 0 ? undefined : done}
        />
        {!locked && (
          <>
            <Place pressed={!onHub} onClick={() => go("here")}>
              On this machine ({models.length})
            </Place>
            <Place pressed={onHub} onClick={() => go("hub")}>
              Hub
            </Place>
          </>
        )}
        {download && (
          <button
            type="button"
            class="lw-button lw-primary"
            disabled={tooBig}
            onClick={() => act("download_model", chosen)}
          >
            Download
          </button>
        )}
        {!(onHub && download) && (
          <button
            type="button"
            class={isUsed || download ? "lw-button" : "lw-button lw-primary"}
            disabled={!isUsed && (!chosen || loading !== null)}
            onClick={() => (isUsed ? unload() : act("load_model", chosen))}
          >
            {isUsed ? "Unload" : "Load"}
          </button>
        )}
      </div>
      {locked && (
        <p class="lw-empty lw-muted lw-small" role="note">
          {locked}
        </p>
      )}
      <Alert error={error} />
      {inUse === undefined && <Notices notices={notices} />}
      {loading && <Loading loading={loading} name={nameOf(models, loading.name)} send={send} />}
      <Table
        id={grid}
        label={onHub ? "Models on the hub" : "Models on this machine"}
        rows={rows}
        at={at}
        shown={shown}
        value={value}
        loaded={loaded}
        used={used}
        busy={loading !== null}
        free={free}
        choose={chooseRow}
        load={(name) => act("load_model", name)}
        unload={unload}
        download={(name) => act("download_model", name)}
        toggle={hubActions.toggle}
      />
      {onHub ? (
        <HubStatus hub={hub} words={words} actions={hubActions} onDetails={setDetailed} />
      ) : (
        rows.length === 0 && !locked && <NothingHere models={models} onHub={() => go("hub")} />
      )}
      <div class="lw-foot lw-row lw-small">
        <Leftovers model={model} ask={ask} />
        <button ref={opener} type="button" class="lw-quiet" disabled={!about} onClick={() => setDetailed(about)}>
          Details
        </button>
        <button type="button" class="lw-quiet" onClick={() => send({ type: "refresh", request_id: newId() })}>
          Refresh
        </button>
      </div>
      {detailed !== null && (
        <Details
          key={detailed}
          model={detailed}
          here={models.find((entry) => entry.model === detailed)}
          ask={ask}
          known={hub.opened[detailed]?.looked}
          onToken={(token) => {
            setTokens({ ...tokens, [repoOf(detailed)]: token });
            hubActions.look(`hf:${repoOf(detailed)}`, token);
          }}
          onClose={() => {
            setDetailed(null);
            opener.current?.focus();
          }}
        />
      )}
      <DownloadList downloads={downloads} send={send} />
    </div>
  );
}

const isPath = (text: string) => isReference(text) || /[/\\]|\.gguf$/i.test(text);

const reference = (typed: string | null) => (typed !== null && isReference(typed.trim()) ? typed.trim() : "");

const entryOf = (row: Row | undefined) => (row?.kind === "here" ? row.entry : undefined);

/** The model that a row of the hub stands for; a repository stands for its files. */
const modelOf = (row: Row | undefined) => (row?.kind === "file" ? row.file.model : "");

const repoOf = (model: string) => model.replace(/^hf:/, "").split(/[:@]/)[0]?.split("/").slice(0, 2).join("/") ?? "";

function loadedEntry(models: readonly ModelEntry[], path: string): ModelEntry | undefined {
  return path ? models.find((entry) => entry.path === path || entry.model === path) : undefined;
}
