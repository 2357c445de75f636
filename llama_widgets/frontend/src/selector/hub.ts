// What is shown of the hub: what was searched, what that found, and the files of the models that were opened.

import { useEffect, useReducer, useRef } from "preact/hooks";
import type { Failure, FromView, HubModel, Looked } from "../messages";
import { newId } from "../wire";
import type { Ask } from "./ask";

/** How long somebody types before the hub is asked. */
export const PAUSE_MS = 300;

/** A model whose files are shown: what is known of it, or why nothing is; neither while the hub is asked. */
export interface Opened {
  looked?: Looked;
  failure?: Failure;
}

export interface Hub {
  /** The words that `models` are for; `null` before the first search. */
  text: string | null;
  searching: boolean;
  failure: Failure | null;
  models: readonly HubModel[];
  opened: Readonly<Record<string, Opened>>;
}

const NOTHING: Hub = { text: null, searching: false, failure: null, models: [], opened: {} };

type Change = Partial<Hub> | ((hub: Hub) => Partial<Hub>);

export interface HubActions {
  search: (text: string) => void;
  /** Shows the files of a model, or hides them. */
  toggle: (model: string) => void;
  look: (model: string, token?: string) => void;
}

/** Follows the hub: searches for `text` when that has rested, as long as it is `shown`. */
export function useHub(ask: Ask, send: (message: FromView) => void, text: string, shown: boolean): [Hub, HubActions] {
  const [hub, change] = useReducer<Hub, Change>(
    (before, change) => ({ ...before, ...(typeof change === "function" ? change(before) : change) }),
    NOTHING,
  );
  const last = useRef("");

  const search = async (text: string) => {
    if (last.current) send({ type: "abort", request_id: newId(), target: last.current });
    const request_id = newId();
    last.current = request_id;
    change({ searching: true, failure: null });
    try {
      const found = await ask({ type: "search", request_id, text });
      if (last.current !== request_id || found.type !== "found") return;
      change({ text, models: found.models, searching: false });
    } catch (failure) {
      if (last.current === request_id) change({ text, failure: failure as Failure, models: [], searching: false });
    }
    if (last.current === request_id) last.current = "";
  };

  const look = async (model: string, token?: string) => {
    const open = (opened: Opened) => change((hub) => ({ opened: { ...hub.opened, [model]: opened } }));
    open({});
    try {
      const looked = await ask({ type: "look", request_id: newId(), model, ...(token ? { token } : {}) });
      if (looked.type === "looked") open({ looked });
    } catch (failure) {
      open({ failure: failure as Failure });
    }
  };

  const toggle = (model: string) => {
    if (!(model in hub.opened)) {
      look(model);
      return;
    }
    change(({ opened: { [model]: _, ...opened } }) => ({ opened }));
  };

  useEffect(() => {
    if (shown && text === hub.text) {
      // These words are answered: what is asked since then, for others, is not wanted any more.
      if (last.current) send({ type: "abort", request_id: newId(), target: last.current });
      last.current = "";
      change({ searching: false });
    }
    if (!shown || text === hub.text) return undefined;
    const timer = setTimeout(() => search(text), text ? PAUSE_MS : 0);
    return () => clearTimeout(timer);
  }, [shown, text, hub.text]);

  return [hub, { search, toggle, look }];
}
