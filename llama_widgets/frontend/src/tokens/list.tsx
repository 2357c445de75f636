// The tokens of one answer as a text in which the arrows walk.

import { useLayoutEffect, useMemo, useRef } from "preact/hooks";
import type { Token } from "./messages";
import { likeliness, share, visible } from "./words";

interface TokenListProps {
  name: string;
  tokens: readonly Token[];
  /** So many of them are those of another answer. */
  shared: number;
  /** Which one is looked at. */
  at: number | null;
  onPick: (at: number) => void;
  /** The alternatives of the one that is looked at are wanted. */
  onOpen: () => void;
}

export function TokenList({ name, tokens, shared, at, onPick, onOpen }: TokenListProps) {
  const list = useRef<HTMLDivElement>(null);
  // There may be thousands, of which a step changes two: so these are made once, and marked without Preact.
  const options = useMemo(() => tokens.map((token, index) => option(token, index, index < shared)), [tokens, shared]);
  useLayoutEffect(() => {
    const chosen = list.current?.children[Math.min(at ?? 0, tokens.length - 1)] as HTMLElement | undefined;
    if (!chosen) return;
    chosen.tabIndex = 0;
    if (at !== null) chosen.setAttribute("aria-selected", "true");
    return () => {
      chosen.removeAttribute("tabindex");
      chosen.removeAttribute("aria-selected");
    };
  }, [at, tokens]);

  const pick = (index: number) => {
    const chosen = list.current?.children[index] as HTMLElement;
    chosen.tabIndex = 0; // only what can have the keyboard gets it
    chosen.focus();
    onPick(index);
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const now = indexOf(event, list.current as HTMLElement);
    if (now === null || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Enter" || event.key === " ") {
      pick(now);
      onOpen();
    } else {
      const to = moved(event.key, now, list.current as HTMLElement);
      if (to === undefined) return;
      if (to >= 0 && to < tokens.length) pick(to);
    }
    event.preventDefault();
  };
  return (
    <div
      class="lw-text"
      role="listbox"
      aria-label={name}
      ref={list}
      onKeyDown={onKeyDown}
      onClick={(event) => {
        const index = indexOf(event, list.current as HTMLElement);
        if (index !== null) pick(index);
      }}
    >
      {options}
    </div>
  );
}

function option(token: Token, index: number, shared: boolean) {
  const chance = token.logprob === null ? "the first token" : share(Math.exp(token.logprob));
  const rank = token.rank > 0 ? `, rank ${token.rank}` : "";
  return (
    // biome-ignore lint/a11y/useFocusableInteractive: the one that the keyboard comes to is made focusable above
    <span
      key={index}
      class="lw-token"
      role="option"
      aria-label={`${visible(token.text)} ${chance}${rank}`}
      data-p={likeliness(token.logprob)}
      data-shared={shared || undefined}
    >
      {token.text.replaceAll("\n", "↵\n")}
    </span>
  );
}

function indexOf({ target }: Event, list: HTMLElement): number | null {
  const option = (target as Element).closest("[role=option]");
  const index = Array.prototype.indexOf.call(list.children, option);
  return index < 0 ? null : index;
}

function moved(key: string, at: number, list: HTMLElement): number | undefined {
  switch (key) {
    case "ArrowLeft":
      return at - 1;
    case "ArrowRight":
      return at + 1;
    case "ArrowUp":
      return vertical(list, at, -1);
    case "ArrowDown":
      return vertical(list, at, 1);
    case "Home":
      return 0;
    case "End":
      return list.children.length - 1;
    default:
      return undefined;
  }
}

/** Returns the token of the next row that is nearest to this one. */
function vertical(list: HTMLElement, at: number, step: 1 | -1): number {
  const box = (index: number) => list.children[index]?.getClientRects()[0];
  const from = box(at);
  let [best, distance, row] = [at, Number.POSITIVE_INFINITY, 0];
  for (let index = at + step; from; index += step) {
    const to = box(index);
    if (!to || (row && to.top !== row)) break;
    if (to.top === from.top) continue;
    row = to.top;
    if (Math.abs(to.left - from.left) < distance) [best, distance] = [index, Math.abs(to.left - from.left)];
  }
  return best;
}
