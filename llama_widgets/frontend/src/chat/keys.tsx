// What can be done with the keyboard, told where it is asked for with "?".

import { useLayoutEffect, useRef } from "preact/hooks";

const KEYS: readonly (readonly [string, string])[] = [
  ["Enter", "sends the message"],
  ["Shift + Enter", "starts a new line"],
  ["Esc", "closes what is open, or else stops the answer"],
  ["↑", "in an empty message box: earlier messages"],
  ["{", "puts in a variable or an expression of the notebook"],
  ["↑ ↓, Enter or Tab", "in a list of names: choose one, take it"],
  ["Tab, Shift + Tab", "go through buttons, messages and settings"],
  ["Enter or Space", "on a button: presses it"],
  ["↑ ↓, Home, End, a letter", "in a menu: go to an entry"],
  ["↑ ↓ Page up, Page down", "in the conversation: scroll"],
  ["?", "outside of text boxes: this list"],
];

export function Keys({ onClose }: { onClose: () => void }) {
  const close = useRef<HTMLButtonElement>(null);
  useLayoutEffect(() => close.current?.focus(), []);
  return (
    <section class="lw-bare lw-drawer lw-keys" aria-label="Keyboard">
      <div class="lw-row">
        <strong class="lw-grow">Keyboard</strong>
        <button type="button" class="lw-quiet" ref={close} onClick={onClose}>
          Close
        </button>
      </div>
      <dl>
        {KEYS.map(([key, does]) => (
          <div key={key} class="lw-row">
            <dt>
              <kbd>{key}</kbd>
            </dt>
            <dd>{does}</dd>
          </div>
        ))}
      </dl>
    </section>
  );
}
