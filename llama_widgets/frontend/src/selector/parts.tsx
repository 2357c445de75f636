// The small parts around the table of models.

import type { AnyModel } from "@anywidget/types";
import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { bytes, percent } from "../format";
import { useTraits, useUniqueId } from "../hooks";
import type { Failure, FromView, ModelEntry, SelectorTraits } from "../messages";
import { Alert, Bar } from "../ui";
import { newId } from "../wire";
import type { Ask } from "./ask";
import type { Hub, HubActions } from "./hub";

interface PlaceProps {
  pressed: boolean;
  onClick: () => void;
  children: ComponentChildren;
}

export function Place({ pressed, onClick, children }: PlaceProps) {
  return (
    <button type="button" class="lw-button lw-place" aria-pressed={pressed} onClick={onClick}>
      {children}
    </button>
  );
}

export function NothingHere({ models, onHub }: { models: readonly ModelEntry[]; onHub: () => void }) {
  return (
    <p class="lw-empty lw-muted">
      {models.length === 0 ? "No model on this machine yet. " : "None on this machine. "}
      <button type="button" class="lw-button" onClick={onHub}>
        Look on the hub
      </button>{" "}
      Enter loads a path, and downloads a reference such as hf:user/repo:Q4_K_M.
    </p>
  );
}

interface HubStatusProps {
  hub: Hub;
  words: string;
  actions: HubActions;
  onDetails: (model: string) => void;
}

/** What becomes of the search, and of the models whose files are asked for. */
export function HubStatus({ hub, words, actions, onDetails }: HubStatusProps) {
  const opened = Object.entries(hub.opened);
  const found = hub.models.length;
  let text = words ? `${found === 1 ? "1 model" : `${found} models`}, the most downloaded first` : "Good to begin with";
  if (hub.searching || hub.text === null || hub.text !== words) text = "Searching …";
  else if (!found && !hub.failure) text = `The hub has no GGUF model called ${words}.`;
  return (
    <>
      {opened.map(([model, { looked, failure }]) => {
        const problem = failure ?? looked?.refusal;
        if (problem?.code === "gated")
          return (
            <p key={model} class="lw-empty lw-small">
              {model.slice(3)} needs a token.{" "}
              <button type="button" class="lw-button" onClick={() => onDetails(model)}>
                How to get access
              </button>
            </p>
          );
        return problem ? <Alert key={model} error={problem} /> : null;
      })}
      <Alert error={hub.failure} />
      <div class="lw-empty lw-muted lw-small lw-row">
        <span role="status">
          {opened.some(([, { looked, failure }]) => !looked && !failure)
            ? "Looking at the files …"
            : hub.failure
              ? ""
              : text}
        </span>
        {hub.failure && (
          <button type="button" class="lw-button" onClick={() => actions.search(words)}>
            Try again
          </button>
        )}
      </div>
    </>
  );
}

/** What other programs left unfinished, and the way to be rid of it. */
export function Leftovers({ model, ask }: { model: AnyModel<SelectorTraits>; ask: Ask }) {
  const { leftovers } = useTraits(model, "leftovers");
  const [sure, setSure] = useState(false);
  const [failure, setFailure] = useState<Failure | null>(null);
  const { count = 0, size = 0 } = leftovers ?? {};
  if (!count) return <span class="lw-grow" />;
  const remove = () => {
    setSure(false);
    setFailure(null);
    ask({ type: "delete_leftovers", request_id: newId() }).catch(setFailure);
  };
  return (
    <span class="lw-grow lw-muted">
      Other programs left {count === 1 ? "an unfinished download" : `${count} unfinished downloads`} here: {bytes(size)}{" "}
      <button type="button" class="lw-quiet" onClick={() => (sure ? remove() : setSure(true))}>
        {sure ? "Yes, delete" : "Delete"}
      </button>
      <Alert error={failure} />
    </span>
  );
}

interface LoadingProps {
  loading: NonNullable<SelectorTraits["loading"]>;
  name: string;
  send: (message: FromView) => void;
}

export function Loading({ loading, name, send }: LoadingProps) {
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
