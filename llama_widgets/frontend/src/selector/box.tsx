// The one box for names, paths, references and searches.

import { useRef } from "preact/hooks";

interface ModelBoxProps {
  grid: string;
  /** The id of the row that the arrow keys are at. */
  active: string | undefined;
  disabled: boolean;
  text: string;
  placeholder: string;
  onType: (text: string) => void;
  /** Moves by so many rows. */
  onMove: (by: number) => void;
  onEnter: () => void;
  /** `undefined` where there is nothing to take back. */
  onEscape: (() => void) | undefined;
}

export function ModelBox({
  grid,
  active,
  disabled,
  text,
  placeholder,
  onType,
  onMove,
  onEnter,
  onEscape,
}: ModelBoxProps) {
  const box = useRef<HTMLInputElement>(null);
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.isComposing) return;
    const moves: Record<string, (() => void) | undefined> = {
      ArrowDown: () => onMove(1),
      ArrowUp: () => onMove(-1),
      Enter: onEnter,
      Escape: onEscape,
    };
    const move = moves[event.key];
    if (!move) return;
    event.preventDefault();
    move();
  };
  return (
    <input
      ref={box}
      class="lw-field lw-grow"
      type="text"
      role="combobox"
      aria-label="Model"
      aria-expanded="true"
      aria-haspopup="grid"
      aria-controls={grid}
      aria-autocomplete="list"
      {...(active ? { "aria-activedescendant": active } : {})}
      placeholder={placeholder}
      disabled={disabled}
      autocomplete="off"
      autocapitalize="off"
      spellcheck={false}
      value={text}
      onInput={(event) => onType(event.currentTarget.value)}
      onKeyDown={onKeyDown}
      onFocus={() => box.current?.select()}
    />
  );
}
