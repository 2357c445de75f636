// The settings of a panel. What there is to set, and what can be said of it, comes from the kernel when this is opened;
// the values are traits, so that every view shows what anyone sets.

import type { AnyModel } from "@anywidget/types";
import { useEffect, useState } from "preact/hooks";
import { useTraits } from "../../hooks";
import { INCOMING, type Preset, type SettingsGroup } from "../../messages";
import { useAsk } from "../../selector/ask";
import { newId, receive } from "../../wire";
import type { ChatSession } from "../session";
import { Field } from "./field";
import { PresetBar } from "./presets";
import { matching, same, type Values } from "./values";

interface DrawerProps {
  session: ChatSession;
  disabled: boolean;
  onClose: () => void;
}

export function SettingsDrawer({ session, disabled, onClose }: DrawerProps) {
  const model = session.model as AnyModel as AnyModel<Values>;
  const ask = useAsk(model as AnyModel, (message) => session.send(message));
  const [groups, setGroups] = useState<SettingsGroup[]>([]);
  const [presets, setPresets] = useState<Preset[]>([]);
  useEffect(() => {
    const onMessage = (data: unknown) => {
      const message = receive(data, INCOMING);
      if (message?.type !== "settings") return;
      setPresets(message.presets);
      if (message.groups.length > 0) setGroups(message.groups);
    };
    model.on("msg:custom", onMessage);
    session.send({ type: "show_settings", request_id: newId() });
    return () => model.off("msg:custom", onMessage);
  }, [session]);

  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key !== "Escape" || event.isComposing || event.defaultPrevented) return;
    event.preventDefault(); // it closes what is innermost, and stops nothing then
    onClose();
  };
  return (
    <div class="lw-drawer">
      <fieldset class="lw-bare lw-settings" aria-label="Settings" disabled={disabled} onKeyDown={onKeyDown}>
        {groups.length > 0 ? (
          <Sheet model={model} groups={groups} presets={presets} ask={ask} />
        ) : (
          <p class="lw-muted" role="status">
            Waiting for the kernel…
          </p>
        )}
      </fieldset>
    </div>
  );
}

interface SheetProps {
  model: AnyModel<Values>;
  groups: readonly SettingsGroup[];
  presets: readonly Preset[];
  ask: ReturnType<typeof useAsk>;
}

function Sheet({ model, groups, presets, ask }: SheetProps) {
  const all = groups.flatMap(({ settings }) => settings);
  const values: Values = useTraits(model, "stale", ...all.map(({ name }) => name));
  const [chosen, setChosen] = useState("");
  const configure = (options: Record<string, unknown>) => ask({ type: "configure", request_id: newId(), options });
  const changed = all.filter(({ name, default: usual }) => !same(values[name], usual));
  const current = matching(presets, values, chosen);
  const resetAll = () => configure(Object.fromEntries(changed.map(({ name, default: usual }) => [name, usual])));
  return (
    <>
      <PresetBar
        presets={presets}
        current={current}
        ask={ask}
        onChosen={setChosen}
        resetAll={changed.length > 0 ? resetAll : undefined}
      />
      {groups.map(({ title, settings }) => {
        const fields = settings.map((setting) => (
          <Field
            key={setting.name}
            setting={setting}
            value={values[setting.name]}
            note={
              setting.name === "n_ctx" &&
              values.stale === true &&
              "The model will be loaded anew with the next question."
            }
            configure={configure}
          />
        ));
        if (!title) return fields;
        const count = settings.filter((setting) => changed.includes(setting)).length;
        return (
          <details key={title}>
            <summary>
              {title}
              {count > 0 && <span class="lw-muted"> · {count} changed</span>}
            </summary>
            {fields}
          </details>
        );
      })}
    </>
  );
}
