// How views follow a store and a model's traits.

import type { AnyModel } from "@anywidget/types";
import type { RefObject } from "preact";
import { useEffect, useLayoutEffect, useReducer, useState } from "preact/hooks";
import type { Store } from "./store";
import { watchConnection } from "./transport";
import { newId } from "./wire";

/** Returns what `select` picks from the store; the view is drawn again when that changes. */
export function useStore<State, Action, T>(store: Store<State, Action>, select: (state: State) => T): T {
  const [picked, setPicked] = useState(() => select(store.state));
  useEffect(() => {
    const update = () => setPicked(() => select(store.state));
    update();
    return store.subscribe(update);
  }, [store]);
  return picked;
}

/** Returns the present values of these traits; the view is drawn again when one changes. */
export function useTraits<T extends object, K extends keyof T & string>(model: AnyModel<T>, ...names: K[]): Pick<T, K> {
  const [, redraw] = useReducer((count: number, _: undefined) => count + 1, 0);
  useEffect(() => {
    const update = () => redraw(undefined);
    update(); // what changed between the first drawing and now
    for (const name of names) model.on(`change:${name}`, update);
    return () => {
      for (const name of names) model.off(`change:${name}`, update);
    };
  }, [model]);
  return Object.fromEntries(names.map((name) => [name, model.get(name)])) as Pick<T, K>;
}

/** Returns whether the model has lost its kernel. */
export function useGone(model: AnyModel): boolean {
  const [gone, setGone] = useState(false);
  useEffect(() => {
    const ending = new AbortController();
    watchConnection(model, { onGone: () => setGone(true), signal: ending.signal });
    return () => ending.abort();
  }, [model]);
  return gone;
}

/** Keeps a text box as high as what is written in it. */
export function useAutoHeight(box: RefObject<HTMLTextAreaElement | null>, text: string): void {
  useLayoutEffect(() => {
    const area = box.current;
    if (!area) return;
    area.style.height = "auto";
    area.style.height = `${area.scrollHeight + area.offsetHeight - area.clientHeight}px`;
  }, [text]);
}

/** Returns an id that is this view's alone: those of Preact's `useId` are the same in each widget of a page. */
export function useUniqueId(): string {
  return useState(() => `lw-${newId()}`)[0];
}
