// One setting: its field, a slider where that makes sense, what it does, and the way back to the default.

import { useEffect, useRef, useState } from "preact/hooks";
import { useUniqueId } from "../../hooks";
import type { Failure, Setting } from "../../messages";
import { facts, fromText, same, toText } from "./values";

interface FieldProps {
  setting: Setting;
  value: unknown;
  /** What there is to say of the value as it is. */
  note?: string | false;
  /** Throws the kernel's refusal. */
  configure: (values: Record<string, unknown>) => Promise<unknown>;
}

interface Typed {
  currentTarget: HTMLInputElement | HTMLTextAreaElement;
}

export function Field({ setting, value, note, configure }: FieldProps) {
  const { label, help, kind, step, options, locked } = setting;
  // What was typed and is not set, because it is not finished or was refused.
  const [draft, setDraft] = useState<string | null>(null);
  const [refusal, setRefusal] = useState<Failure | null>(null);
  const row = useRef<HTMLDivElement>(null);
  const id = useUniqueId();
  const stored = toText(setting, value);
  const changed = !same(value, setting.default);

  useEffect(() => {
    // Who types here is not interrupted by what somebody else sets.
    if (row.current?.matches(":focus-within")) return;
    setDraft(null);
    setRefusal(null);
  }, [stored]);

  const set = async (next: unknown, typed: string | null = null) => {
    try {
      if (!same(next, value)) await configure({ [setting.name]: next });
      setDraft((now) => (now === typed || typed === null ? null : now));
      setRefusal(null);
    } catch (failure) {
      setRefusal(failure as Failure);
    }
  };
  const typed = ({ currentTarget: { value } }: Typed) => setDraft(value);
  const done = ({ currentTarget: { value } }: Typed) => void set(fromText(setting, value), value);

  const shown = draft ?? stored;
  const common = {
    id,
    "aria-describedby": `${id}-help ${id}-note`,
    "aria-invalid": refusal ? ("true" as const) : undefined,
    disabled: Boolean(locked),
  };
  const wide = kind === "text" || kind === "lines" || kind === "json";
  const box = wide && (
    <textarea
      {...common}
      class={`lw-field lw-grow${kind === "text" ? "" : " lw-fixed"}`}
      rows={Math.min(8, Math.max(kind === "text" ? 2 : 1, shown.split("\n").length))}
      dir="auto"
      spellcheck={kind === "text"}
      value={shown}
      onInput={typed}
      onChange={done}
    />
  );
  return (
    <div ref={row} class="lw-setting" data-changed={changed || undefined}>
      <div class="lw-row">
        <label for={id} class="lw-grow">
          {label}
        </label>
        {changed && (
          <button
            type="button"
            class="lw-quiet"
            aria-label={`Reset ${label}`}
            onClick={() => {
              row.current?.querySelector<HTMLElement>(`#${id}`)?.focus(); // the button goes away
              void set(setting.default);
            }}
          >
            Reset
          </button>
        )}
        {step !== undefined && (
          <input
            type="range"
            aria-label={label}
            aria-describedby={common["aria-describedby"]}
            min={setting.low ?? 0}
            max={setting.high ?? 1}
            step={step}
            disabled={common.disabled}
            value={Number(shown) || 0}
            onInput={typed}
            onChange={done}
          />
        )}
        {kind === "number" && (
          <input
            {...common}
            class="lw-field lw-number"
            inputMode="decimal"
            autocomplete="off"
            value={shown}
            onInput={typed}
            onChange={done}
          />
        )}
        {kind === "flag" && (
          <input
            {...common}
            type="checkbox"
            checked={value === true}
            onChange={(event) => void set(event.currentTarget.checked)}
          />
        )}
        {kind === "choice" && (
          <select
            {...common}
            class="lw-field"
            value={JSON.stringify(value)}
            onChange={(event) => void set(JSON.parse(event.currentTarget.value))}
          >
            {options?.map((option) => (
              <option key={String(option)} value={JSON.stringify(option)}>
                {option === true ? "on" : option === false ? "off" : String(option)}
              </option>
            ))}
          </select>
        )}
      </div>
      {box}
      <div id={`${id}-help`} class="lw-muted lw-small">
        {help} {facts(setting)}
      </div>
      <div id={`${id}-note`} class="lw-small" role="status">
        {refusal ? <span class="lw-refusal">{[refusal.message, refusal.hint].join(" ")}</span> : locked || note}
      </div>
    </div>
  );
}
