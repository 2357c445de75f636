// A text as the numbers that a model reads, and back; of two models beside each other.

import { useEffect, useState } from "preact/hooks";
import { useStore, useUniqueId } from "../hooks";
import type { Of, Piece } from "./messages";
import type { TabProps } from "./view";
import { some, visible } from "./words";

/** How long the keys must rest before the kernel is asked. */
const PAUSE_MS = 200;

export function Tokenizer({ session, busy }: TabProps) {
  const told = useStore(session.store, (state) => state.tokenized);
  if (!told) {
    return (
      <p class="lw-empty lw-muted" role="status">
        {busy ? "Reading the vocabulary…" : "No vocabulary was read yet."}
      </p>
    );
  }
  return (
    <Bench
      told={told}
      onText={(text, models) => session.send({ type: "tokenize", text, models })}
      onIds={(ids, models) => session.send({ type: "detokenize", ids, models })}
    />
  );
}

interface BenchProps {
  told: Of<"tokenized">;
  onText: (text: string, models: string[]) => void;
  onIds: (ids: number[], models: string[]) => void;
}

function Bench({ told, onText, onIds }: BenchProps) {
  const [text, setText] = useState(told.text);
  const [ids, setIds] = useState<string | null>(null);
  const id = useUniqueId();
  const chosen = told.sides.map(({ model }) => model);
  useEffect(() => {
    if (text === told.text) return;
    const timer = setTimeout(() => onText(text, chosen), PAUSE_MS);
    return () => clearTimeout(timer);
  }, [text]);
  // What the ids became, unless somebody writes.
  useEffect(() => {
    if (ids !== null) setText(told.text);
  }, [told]);
  const choose = (side: number, model: string) =>
    onText(text, [...chosen.slice(0, side), ...(model ? [model] : []), ...chosen.slice(side + 1)]);
  const numbers = ids ?? told.sides[0]?.pieces.map((piece) => piece.id).join(" ") ?? "";
  const read = numbers.split(/[\s,]+/).filter(Boolean);
  const wrong = read.find((each) => !/^\d{1,7}$/.test(each));
  return (
    <div class="lw-bench">
      <label for={`${id}-text`}>Text</label>
      <textarea
        id={`${id}-text`}
        class="lw-field"
        rows={3}
        value={text}
        onInput={({ currentTarget }) => {
          setIds(null);
          setText(currentTarget.value);
        }}
      />
      <div class="lw-sides">
        {[0, 1].map((side) => (
          <Side
            key={side}
            name={side === 0 ? "Model" : "Second model"}
            told={told}
            side={told.sides[side]}
            optional={side === 1}
            onChoose={(model) => choose(side, model)}
          />
        ))}
      </div>
      <label for={`${id}-ids`}>Ids</label>
      <input
        id={`${id}-ids`}
        class="lw-field lw-fixed"
        value={numbers}
        aria-invalid={wrong !== undefined}
        aria-describedby={`${id}-wrong`}
        onInput={({ currentTarget }) => {
          const { value } = currentTarget;
          setIds(value);
          const all = value.split(/[\s,]+/).filter(Boolean);
          if (all.every((each) => /^\d{1,7}$/.test(each))) onIds(all.map(Number), chosen);
        }}
      />
      <div class="lw-small lw-muted" id={`${id}-wrong`} aria-live="polite">
        {wrong === undefined ? "Write other ids to see what text they are." : `${wrong} is no id: write whole numbers.`}
      </div>
    </div>
  );
}

interface SideProps {
  name: string;
  told: Of<"tokenized">;
  side: Of<"tokenized">["sides"][number] | undefined;
  optional: boolean;
  onChoose: (model: string) => void;
}

function Side({ name, told, side, optional, onChoose }: SideProps) {
  const pieces = side?.pieces ?? [];
  const letters = [...told.text].length;
  return (
    <section aria-label={`${name}: ${told.models.find(({ model }) => model === side?.model)?.name ?? "none"}`}>
      <select
        class="lw-field"
        aria-label={name}
        value={side?.model ?? ""}
        onChange={({ currentTarget }) => onChoose(currentTarget.value)}
      >
        {optional && <option value="">Compare with…</option>}
        {told.models.map(({ model, name: shown }) => (
          <option key={model} value={model}>
            {shown}
          </option>
        ))}
      </select>
      {side?.error && <p class="lw-refusal lw-small">{side.error}</p>}
      {side && !side.error && (
        <>
          <p class="lw-small" role="status">
            <b>{some(pieces.length, "token")}</b>
            <span class="lw-muted">
              {" "}
              · {some(letters, "character")}
              {pieces.length > 0 && ` · ${(letters / pieces.length).toFixed(1)} for each token`}
            </span>
          </p>
          <Pieces pieces={pieces} />
        </>
      )}
    </section>
  );
}

/** Neighbours in turn, so that it is seen where one ends, and each with its id. */
function Pieces({ pieces }: { pieces: readonly Piece[] }) {
  return (
    <ol class="lw-pieces">
      {pieces.map(({ id, text, special }, index) => (
        <li key={index} data-special={special || undefined}>
          <span class="lw-fixed">{visible(text) || "·"}</span>
          <span class="lw-muted lw-id">{id}</span>
        </li>
      ))}
    </ol>
  );
}
