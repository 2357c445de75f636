// ChatPanel: header, selector, conversation, composer, status line.

import type { AnyModel } from "@anywidget/types";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { percent } from "../format";
import { useStore, useTraits } from "../hooks";
import type { ChatTraits, FromView, SelectorTraits } from "../messages";
import { fileName } from "../selector/choice";
import { ModelSelector } from "../selector/view";
import { Alert, Bar, Notices, Spoken } from "../ui";
import { Composer } from "./composer";
import { Conversations } from "./conversations";
import { Header } from "./header";
import { keepingItems } from "./keeping";
import { Keys } from "./keys";
import { Log } from "./log";
import type { ChatSession } from "./session";
import { SettingsDrawer } from "./settings/drawer";
import { isBusy } from "./state";
import { contextUsed, status, statusText } from "./status";

/** The selector's model and the way to it. */
export interface Child {
  model: AnyModel<SelectorTraits>;
  send: (message: FromView) => void;
}

interface PanelProps {
  session: ChatSession;
  /** `null` where the host cannot give it. */
  selector: Promise<Child | null>;
}

export function ChatPanel({ session, selector }: PanelProps) {
  const traits = useTraits(
    session.model,
    "model",
    "state",
    "loaded",
    "progress",
    "error",
    "notices",
    "height",
    "can_undo",
    "conversations",
  );
  const turns = useStore(session.store, (state) => state.turns);
  const refused = useStore(session.store, (state) => state.refused);
  const busy = useStore(session.store, isBusy);
  const gone = useStore(session.store, (state) => state.gone);
  const begun = useStore(session.store, ({ turns }) => turns.length > 0);
  const child = useResolved(selector);
  const [open, setOpen] = useState(traits.model === "");
  const [aside, setAside] = useState<"" | "conversations" | "keys">("");
  /** Nothing can be changed now. */
  const fixed = busy || gone;
  const [settings, setSettings] = useState(false);
  const composer = useRef<HTMLDivElement>(null);
  const settingsButton = useRef<HTMLButtonElement>(null);
  const root = useRef<HTMLDivElement>(null);

  const loadedPath = traits.loaded?.path ?? "";
  useEffect(() => {
    if (!loadedPath) return;
    setOpen(false);
    // The keyboard goes on where the mouse would: from the model to the message.
    const focused = document.activeElement;
    if (focused?.closest(".lw-selector") && root.current?.contains(focused)) {
      composer.current?.querySelector("textarea")?.focus();
    }
  }, [loadedPath]);
  useEffect(() => {
    if (!traits.model) setOpen(true);
  }, [traits.model]);

  // While an answer is made the panel stays as high as it is: else Stop would flee from the mouse.
  useLayoutEffect(() => {
    const box = root.current;
    if (!busy || !box || traits.height) return;
    box.style.height = `${box.offsetHeight}px`;
    return () => {
      box.style.height = "";
    };
  }, [busy, traits.height]);

  const closeAside = () => {
    setAside("");
    composer.current?.querySelector("textarea")?.focus();
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.isComposing || event.defaultPrevented) return;
    if (event.key === "Escape" && aside) closeAside();
    else if (event.key === "Escape") void session.stop();
    else if (event.key === "?" && !(event.target as Element).matches("textarea, input, select")) setAside("keys");
  };
  const height = traits.height ? { height: traits.height, minHeight: 0, maxHeight: "none" } : {};
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: Escape stops wherever the focus is within the panel
    <div
      class="lw-box lw-panel"
      ref={root}
      style={height}
      data-state={traits.state}
      data-begun={begun}
      onKeyDown={onKeyDown}
    >
      <Header
        traits={traits}
        used={contextUsed(turns)}
        open={open}
        gone={gone}
        menu={[
          { name: "New conversation", disabled: fixed, onPick: () => session.newConversation() },
          { name: "Conversations", onPick: () => setAside("conversations") },
          { name: "Clear", disabled: fixed || turns.length === 0, apart: true, onPick: () => session.clear() },
          { name: "Undo", disabled: fixed || !traits.can_undo, onPick: () => session.undo() },
          ...keepingItems(session, turns.length === 0, fixed),
          { name: "Keyboard", apart: true, onPick: () => setAside("keys") },
        ]}
        onToggle={() => setOpen(!open)}
        settings={{ open: settings, button: settingsButton, onToggle: () => setSettings(!settings) }}
      />
      {open && child && (
        <fieldset class="lw-bare lw-drawer" role="none" disabled={gone}>
          <ModelSelector model={child.model} send={child.send} inUse={loadedPath} />
        </fieldset>
      )}
      {aside === "conversations" && (
        <Conversations session={session} conversations={traits.conversations} busy={fixed} onClose={closeAside} />
      )}
      {aside === "keys" && <Keys onClose={closeAside} />}
      {settings && (
        <SettingsDrawer
          session={session}
          disabled={gone}
          onClose={() => {
            settingsButton.current?.focus();
            setSettings(false);
          }}
        />
      )}
      <Log session={session} hint={traits.model ? "Ask something." : "Load a model, then ask something."} />
      <Notices notices={gone ? [] : traits.notices} />
      <Alert error={traits.error ?? refused} />
      <div ref={composer}>
        <Composer session={session} enabled={traits.model !== "" && !gone} loadedPath={loadedPath} />
      </div>
      <StatusBar session={session} traits={traits} selectorOpen={open && child !== null} />
    </div>
  );
}

interface StatusBarProps {
  session: ChatSession;
  traits: Parameters<typeof status>[0] & Pick<ChatTraits, "can_undo">;
  selectorOpen: boolean;
}

/** How often the figures of the status line change, at most. */
const FIGURES_MS = 250;

function StatusBar({ session, traits, selectorOpen }: StatusBarProps) {
  const line = useStatus(session, traits);
  const busy = useStore(session.store, isBusy);
  const removed = useStore(session.store, (state) => state.removed);
  const { progress } = traits;
  const undo = (event: MouseEvent) => {
    const panel = (event.currentTarget as Element).closest(".lw-panel");
    session.undo();
    panel?.querySelector<HTMLElement>("[role=log]")?.focus({ preventScroll: true }); // the button goes
  };
  const showBar = progress !== null && !(selectorOpen && traits.state === "loading");
  return (
    <>
      {showBar && (
        <Bar
          name={progress.operation === "prefill" ? line.words : fileName(traits.model)}
          percent={percent(progress.done, progress.total)}
          text={statusText(line)}
        />
      )}
      <div class="lw-status lw-row lw-muted lw-small">
        {/* Its figures change all the time, so it is not read out; the words are, below. */}
        <span role="status" aria-live="off">
          {statusText(line)}
        </span>
        <span class="lw-grow" />
        {removed && traits.can_undo && !busy && (
          <>
            <span role="status">{removed}</span>
            <button type="button" class="lw-quiet" onClick={undo}>
              Undo
            </button>
          </>
        )}
        {busy && <span class="lw-hint">Esc stops</span>}
      </div>
      <Spoken>{line.words}</Spoken>
    </>
  );
}

export function useStatus(session: ChatSession, traits: Parameters<typeof status>[0]) {
  const [, setTick] = useState(0);
  const latest = useRef(traits);
  latest.current = traits;
  const current = () => status(latest.current, session.store.state);
  const shown = useRef(current());
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const draw = () => {
      timer = undefined;
      setTick((tick) => tick + 1);
    };
    const stopListening = session.store.subscribe(() => {
      if (current().words !== shown.current.words) draw();
      else timer ??= setTimeout(draw, FIGURES_MS);
    });
    return () => {
      clearTimeout(timer);
      stopListening();
    };
  }, [session]);
  shown.current = current();
  return shown.current;
}

function useResolved<T>(promise: Promise<T | null>): T | null {
  const [value, setValue] = useState<T | null>(null);
  useEffect(() => {
    let current = true;
    promise.then((resolved) => current && setValue(() => resolved));
    return () => {
      current = false;
    };
  }, [promise]);
  return value;
}
