// All about one model: what it is, what it takes at several sizes of its context, how to get access, how to delete it.

import { useEffect, useRef, useState } from "preact/hooks";
import { bytes, count, day, roughBytes, roughCount, shortContext } from "../format";
import { useUniqueId } from "../hooks";
import type { Estimate, Failure, Looked, ModelEntry } from "../messages";
import { Alert } from "../ui";
import { newId } from "../wire";
import type { Ask } from "./ask";
import { fitText } from "./table";

interface DetailsProps {
  model: string;
  /** The model's entry, if it is on this machine. */
  here: ModelEntry | undefined;
  ask: Ask;
  /** What is known already, as of a model of the hub that is open. */
  known?: Looked | undefined;
  onToken: (token: string) => void;
  onClose: () => void;
}

export function Details({ model, here, ask, known, onToken, onClose }: DetailsProps) {
  const [looked, setLooked] = useState<Looked | undefined>(known);
  const [failure, setFailure] = useState<Failure | null>(null);
  const title = useUniqueId();
  const close = useRef<HTMLButtonElement>(null);
  const look = async (token?: string) => {
    setFailure(null);
    try {
      const answer = await ask({ type: "look", request_id: newId(), model, ...(token ? { token } : {}) });
      if (answer.type !== "looked") return;
      setLooked(answer);
      if (token && !answer.refusal) onToken(token);
    } catch (error) {
      setFailure(error as Failure);
    }
  };
  useEffect(() => {
    setLooked(known);
    if (!known) look();
    close.current?.focus();
  }, [model]);
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key !== "Escape") return;
    event.stopPropagation();
    onClose();
  };
  const refusal = looked?.refusal ?? null;
  return (
    <section class="lw-details" aria-labelledby={title} onKeyDown={onKeyDown}>
      <div class="lw-row">
        <b id={title} class="lw-ellipsis lw-grow">
          {looked?.info.name || model}
        </b>
        <button ref={close} type="button" class="lw-quiet" onClick={onClose}>
          Close
        </button>
      </div>
      {!looked && !failure && <p class="lw-muted">Looking at it …</p>}
      <Alert error={failure ?? refusal} />
      {refusal?.code === "gated" && <Access onToken={look} />}
      {looked && <Facts looked={looked} here={here} />}
      {looked && looked.estimates.length > 0 && <Chart estimates={looked.estimates} />}
      {looked?.info.template && (
        <details class="lw-small">
          <summary>Chat template</summary>
          <pre>{looked.info.template}</pre>
        </details>
      )}
      {(here?.source === "cache" || here?.source === "folder") && (
        <Deleting key={model} entry={here} ask={ask} onDeleted={onClose} />
      )}
    </section>
  );
}

function Facts({ looked: { info }, here }: { looked: Looked; here: ModelEntry | undefined }) {
  const facts: [string, string][] = [
    ["Architecture", info.architecture],
    ["Parameters", info.n_params ? roughCount(info.n_params) : ""],
    ["Quantisation", info.quantisation],
    ["Size", info.size ? bytes(info.size) : ""],
    ["Trained on contexts of", info.n_ctx_train ? `${count(info.n_ctx_train)} tokens` : ""],
    ["Layers", info.n_layer ? count(info.n_layer) : ""],
    ["Vocabulary", info.n_vocab ? `${count(info.n_vocab)} tokens (${info.tokenizer})` : ""],
    ["Licence", info.licence],
    ["Downloads a month", info.downloads ? count(info.downloads) : ""],
    ["Changed", info.updated ? day(info.updated) : ""],
    ["Last loaded", here ? (here.used ? day(here.used) : "never") : ""],
    ["File", info.path],
  ];
  return (
    <dl class="lw-facts lw-small">
      {facts
        .filter(([, value]) => value)
        .map(([name, value]) => (
          <div key={name}>
            <dt class="lw-muted">{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
    </dl>
  );
}

const parts = ({ weights, cache, compute }: Estimate) =>
  `weights ${bytes(weights)}, cache ${bytes(cache)}, computing ${bytes(compute)}`;

/** What the model takes at several sizes of the context, beside what is free. */
function Chart({ estimates }: { estimates: readonly Estimate[] }) {
  const free = estimates[0]?.free ?? 0;
  const most = Math.max(free, ...estimates.map(({ total }) => total));
  const part = (value: number) => `${(100 * value) / most}%`;
  return (
    <table class="lw-chart lw-small">
      <caption class="lw-muted">Memory at each size of the context; {roughBytes(free)} are free for it</caption>
      <tbody>
        {estimates.map((each) => (
          <tr key={each.n_ctx}>
            <th scope="row">{shortContext(each.n_ctx)}</th>
            <td class="lw-bars" title={parts(each)}>
              <span class="lw-hidden">{parts(each)}</span>
              <i class="lw-weights" style={{ width: part(each.weights) }} />
              <i class="lw-cache" style={{ width: part(each.cache + each.compute) }} />
              <i class="lw-free" style={{ insetInlineStart: part(free) }} />
            </td>
            <td>{fitText(each).replace(/ at .*/, "")}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function Access({ onToken }: { onToken: (token: string) => void }) {
  const [token, setToken] = useState("");
  const submit = (event: Event) => {
    event.preventDefault();
    if (token.trim()) onToken(token.trim());
    setToken("");
  };
  return (
    <form class="lw-row lw-access" onSubmit={submit}>
      <input
        class="lw-field lw-grow"
        type="password"
        aria-label="Access token"
        placeholder="Access token: used for this, and kept nowhere"
        autocomplete="off"
        value={token}
        onInput={(event) => setToken(event.currentTarget.value)}
      />
      <button type="submit" class="lw-button" disabled={!token.trim()}>
        Use token
      </button>
    </form>
  );
}

interface DeletingProps {
  entry: ModelEntry;
  ask: Ask;
  onDeleted: () => void;
}

/** Deletes a model after it has said what that frees, and was told to. */
function Deleting({ entry, ask, onDeleted }: DeletingProps) {
  const [freed, setFreed] = useState<number | null>(null);
  const [failure, setFailure] = useState<Failure | null>(null);
  const keep = useRef<HTMLButtonElement>(null);
  const first = useRef<HTMLButtonElement>(null);
  const asked = useRef(false);
  useEffect(() => {
    if (freed !== null) keep.current?.focus();
    else if (asked.current) first.current?.focus(); // the button that had the focus is gone
    asked.current = freed !== null;
  }, [freed]);
  const remove = async (dry_run: boolean) => {
    setFailure(null);
    try {
      const answer = await ask({ type: "delete_model", request_id: newId(), model: entry.model, dry_run });
      if (answer.type !== "deleted") return;
      if (dry_run) setFreed(answer.freed);
      else onDeleted();
    } catch (error) {
      setFreed(null);
      setFailure(error as Failure);
    }
  };
  return (
    <>
      <Alert error={failure} />
      <div class="lw-row">
        {freed === null ? (
          <button ref={first} type="button" class="lw-button" onClick={() => remove(true)}>
            Delete model
          </button>
        ) : (
          <>
            <span role="status">
              Deleting {entry.name} frees {bytes(freed)}.
            </span>
            <button ref={keep} type="button" class="lw-button" onClick={() => setFreed(null)}>
              Keep it
            </button>
            <button type="button" class="lw-button lw-stop" onClick={() => remove(false)}>
              Delete it
            </button>
          </>
        )}
      </div>
    </>
  );
}
