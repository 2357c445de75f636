// What answers, how much of its context is used, and the menu.

import type { Ref } from "preact";
import { count, roughBytes } from "../format";
import { Menu, type MenuItem } from "../menu";
import type { ChatTraits } from "../messages";
import { fileName } from "../selector/choice";

interface HeaderProps {
  traits: Pick<ChatTraits, "model" | "state" | "loaded">;
  used: number | null;
  open: boolean;
  /** The kernel is gone, and with it what it held in memory. */
  gone: boolean;
  menu: readonly MenuItem[];
  onToggle: () => void;
  settings: { open: boolean; button: Ref<HTMLButtonElement>; onToggle: () => void };
}

export function Header({ traits, used, open, gone, menu, onToggle, settings }: HeaderProps) {
  const { model, state, loaded } = traits;
  const held = gone ? null : loaded;
  const lit = !gone && (loaded || state === "loading" || state === "error");
  const name = loaded ? [loaded.name, loaded.quantisation].filter(Boolean).join(" · ") : fileName(model);
  return (
    <div class="lw-bar lw-row lw-header">
      <button type="button" class="lw-chip" aria-expanded={open} title={loaded?.path ?? model} onClick={onToggle}>
        <span class="lw-dot" data-state={lit ? state : "idle"} />
        <span class="lw-ellipsis">{name || "Choose a model"}</span>
      </button>
      {held && (
        <span class="lw-muted lw-small lw-ellipsis lw-held">
          {roughBytes(held.memory)} in memory{used === null && ` · ${count(held.n_ctx)} tokens`}
        </span>
      )}
      <span class="lw-spring" />
      {held && used !== null && <Context used={used} size={held.n_ctx} />}
      <button
        ref={settings.button}
        type="button"
        class="lw-quiet"
        aria-expanded={settings.open}
        onClick={settings.onToggle}
      >
        Settings
      </button>
      <Menu label="More" items={menu} />
    </div>
  );
}

/** Colour alone tells nothing to those who do not see it. */
const LEVELS = { "": "", high: ", soon full", full: ", nearly full: the oldest messages will be left out" };

function Context({ used, size }: { used: number; size: number }) {
  const text = `${count(used)} / ${count(size)}`;
  const level = used >= 0.95 * size ? "full" : used >= 0.8 * size ? "high" : "";
  return (
    // biome-ignore lint/a11y/useSemanticElements: browsers draw <meter> each in its own way
    <span
      class="lw-row lw-context"
      data-level={level}
      role="meter"
      aria-label="Context used"
      aria-valuemin={0}
      aria-valuemax={size}
      aria-valuenow={used}
      aria-valuetext={`${text} tokens${LEVELS[level]}`}
      title={`Context used${LEVELS[level]}`}
    >
      <span class="lw-muted lw-small">{text}</span>
      {/* Not where there is little room: then only the figures are seen. */}
      <span class="lw-meter">
        <i style={{ width: `${Math.min(100, (100 * used) / size)}%` }} />
      </span>
    </span>
  );
}
