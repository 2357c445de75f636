// Named settings: choose, save, delete, pass on as a file, take from one.

import { useEffect, useRef, useState } from "preact/hooks";
import { download } from "../../files";
import { useUniqueId } from "../../hooks";
import type { Failure, Preset } from "../../messages";
import type { Ask } from "../../selector/ask";
import { Alert } from "../../ui";
import { newId } from "../../wire";

/** As `presets.py` has it; a larger file is not even read. */
const LARGEST = 1_000_000;

interface PresetBarProps {
  presets: readonly Preset[];
  /** The one whose settings are those of the panel. */
  current: Preset | undefined;
  ask: Ask;
  onChosen: (name: string) => void;
  /** Missing where there is nothing to reset. */
  resetAll: (() => Promise<unknown>) | undefined;
}

export function PresetBar({ presets, current, ask, onChosen, resetAll }: PresetBarProps) {
  const id = useUniqueId();
  const [naming, setNaming] = useState<string | null>(null);
  const [failure, setFailure] = useState<Failure | null>(null);
  const saveAs = useRef<HTMLButtonElement>(null);
  const select = useRef<HTMLSelectElement>(null);
  const chooser = useRef<HTMLInputElement>(null);

  const field = useRef<HTMLInputElement>(null);
  useEffect(() => field.current?.focus(), [naming === null]);

  const attempt = async (what: () => Promise<unknown>) => {
    try {
      await what();
      setFailure(null);
      return true;
    } catch (refused) {
      setFailure(refused as Failure);
      return false;
    }
  };
  const apply = (name: string) => {
    onChosen(name);
    void attempt(() => ask({ type: "apply_preset", request_id: newId(), name }));
  };
  const stopNaming = () => {
    setNaming(null);
    saveAs.current?.focus();
  };
  const save = async (event: Event) => {
    event.preventDefault();
    const name = (naming ?? "").trim();
    if (!(await attempt(() => ask({ type: "save_preset", request_id: newId(), name })))) return;
    onChosen(name);
    stopNaming();
  };
  const remove = (name: string) => {
    select.current?.focus(); // the button cannot be used any more
    void attempt(() => ask({ type: "delete_preset", request_id: newId(), name }));
  };
  const exported = () =>
    attempt(async () => {
      const answer = await ask({ type: "export_preset", request_id: newId() });
      if (answer.type === "preset_file") download(`${current?.name ?? "settings"}.json`, answer.text);
    });
  const imported = async (file: File | undefined) => {
    if (!file) return;
    await attempt(async () => {
      const text = await read(file);
      await ask({ type: "import_preset", request_id: newId(), file: file.name, text });
      onChosen(file.name.replace(/\.json$/, ""));
    });
  };
  const taken = presets.some(({ name, built_in }) => !built_in && name === naming?.trim());

  return (
    <>
      <div class="lw-row">
        <label for={id}>Preset</label>
        <select
          ref={select}
          id={id}
          class="lw-field"
          value={current?.name ?? ""}
          onChange={(event) => apply(event.currentTarget.value)}
        >
          {!current && (
            <option value="" disabled>
              Own settings
            </option>
          )}
          {presets.map(({ name }) => (
            <option key={name} value={name}>
              {name}
            </option>
          ))}
        </select>
        <button
          ref={saveAs}
          type="button"
          class="lw-quiet"
          aria-expanded={naming !== null}
          onClick={() => setNaming("")}
        >
          Save as…
        </button>
        <button
          type="button"
          class="lw-quiet"
          aria-label="Delete preset"
          disabled={!current || current.built_in}
          onClick={() => current && remove(current.name)}
        >
          Delete
        </button>
        <button type="button" class="lw-quiet" onClick={exported}>
          Export
        </button>
        <button type="button" class="lw-quiet" onClick={() => chooser.current?.click()}>
          Import
        </button>
        <span class="lw-spring" />
        <button type="button" class="lw-quiet" disabled={!resetAll} onClick={() => resetAll && attempt(resetAll)}>
          Reset all
        </button>
        <input
          ref={chooser}
          type="file"
          accept=".json,application/json"
          aria-label="File of a preset"
          hidden
          onChange={(event) => {
            void imported(event.currentTarget.files?.[0]);
            event.currentTarget.value = ""; // the same file can be chosen again
          }}
        />
      </div>
      {naming !== null && (
        <form
          class="lw-row"
          onSubmit={save}
          onKeyDown={(event) => {
            if (event.key !== "Escape" || event.isComposing) return;
            event.preventDefault();
            stopNaming();
          }}
        >
          <input
            ref={field}
            class="lw-field lw-grow"
            aria-label="Name of the preset"
            placeholder="Name"
            value={naming}
            onInput={(event) => setNaming(event.currentTarget.value)}
          />
          <button type="submit" class="lw-button" disabled={!naming.trim()}>
            {taken ? "Replace" : "Save"}
          </button>
          <button type="button" class="lw-quiet" onClick={stopNaming}>
            Cancel
          </button>
        </form>
      )}
      <Alert error={failure} />
    </>
  );
}

async function read(file: File): Promise<string> {
  const refuse = (why: string): never => {
    throw { code: "preset", message: `${file.name} is not a preset: it is ${why}.`, hint: "" } satisfies Failure;
  };
  if (file.size > LARGEST) refuse("too large");
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(await file.arrayBuffer());
  } catch {
    return refuse("not UTF-8 text");
  }
}
