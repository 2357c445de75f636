// ↑ in an empty message box brings back what was asked before, ↓ goes forward again.

import type { RefObject } from "preact";
import { useRef } from "preact/hooks";
import type { Writer } from "./session";

export function useRecall(session: Writer, box: RefObject<HTMLTextAreaElement | null>) {
  /** How many questions back, and the text that was brought. */
  const at = useRef({ back: 0, text: "" });
  /** Returns whether the key was to recall. */
  return (event: KeyboardEvent): boolean => {
    const step = { ArrowUp: 1, ArrowDown: -1 }[event.key];
    const area = box.current;
    if (!step || !area || event.shiftKey || event.altKey || event.ctrlKey || event.metaKey) return false;
    const untouched = area.value === at.current.text; // else it was edited, and the arrows move in it
    if (area.value && !untouched) return false;
    const back = (area.value ? at.current.back : 0) + step;
    const text = back === 0 ? "" : asked(session).at(-back);
    if (text === undefined || back < 0) return area.value !== "";
    at.current = { back, text };
    session.store.dispatch({ type: "typed", text });
    event.preventDefault();
    return true;
  };
}

/**
 * What was asked, oldest first and each once. What was not typed in this panel, such as an imported question, is left
 * out if it has braces: they were not meant to be filled in here.
 */
function asked(session: Writer): string[] {
  const questions = session.store.state.turns.filter(({ role }) => role === "user");
  const texts = questions.map(({ typed, content }) => typed ?? (content.includes("{") ? "" : content));
  return texts.filter((text, index) => text && texts.lastIndexOf(text) === index);
}
