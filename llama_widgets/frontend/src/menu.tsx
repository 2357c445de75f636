// A button that opens a menu. Arrows, Home, End and letters move in it; Escape, Tab and a click elsewhere close it.

import type { ComponentChildren, TargetedKeyboardEvent } from "preact";
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { useUniqueId } from "./hooks";

export interface MenuItem {
  name: string;
  onPick: () => void;
  disabled?: boolean;
  /** Whether a line stands before it. */
  apart?: boolean;
}

interface MenuProps {
  /** The button's accessible name, and the menu's. */
  label: string;
  items: readonly MenuItem[];
  children?: ComponentChildren;
}

const GAP_PX = 4;

export function Menu({ label, items, children = "···" }: MenuProps) {
  const [open, setOpen] = useState(false);
  const button = useRef<HTMLButtonElement>(null);
  const menu = useRef<HTMLDivElement>(null);
  const id = useUniqueId();

  useLayoutEffect(() => {
    if (!open || !menu.current || !button.current) return;
    const closing = new AbortController();
    const { signal } = closing;
    menu.current.showPopover?.(); // over everything, as the panel cuts off what leaves it; not in every host
    place(menu.current, button.current);
    options(menu.current)[0]?.focus();
    const onOutside = ({ target }: Event) => {
      if (target instanceof Node && (menu.current?.contains(target) || button.current?.contains(target))) return;
      setOpen(false);
    };
    document.addEventListener("pointerdown", onOutside, { signal, capture: true });
    // It stands over the page: where that scrolls below it, it has to follow its button.
    const follow = () => menu.current && button.current && place(menu.current, button.current);
    document.addEventListener("scroll", follow, { signal, capture: true });
    addEventListener("resize", follow, { signal });
    return () => closing.abort();
  }, [open]);

  const close = () => {
    setOpen(false);
    button.current?.focus();
  };
  const onKeyDown = (event: TargetedKeyboardEvent<HTMLDivElement>) => {
    const all = options(event.currentTarget);
    const at = all.indexOf(document.activeElement as HTMLElement);
    const moves: Record<string, number> = {
      ArrowDown: at + 1,
      ArrowUp: at - 1 + all.length,
      Home: 0,
      End: all.length - 1,
    };
    const to = moves[event.key] ?? next(all, at, event);
    if (to !== undefined) all[to % all.length]?.focus();
    else if (event.key === "Escape" || event.key === "Tab") close();
    else return;
    event.preventDefault();
    event.stopPropagation(); // Escape would stop the answer
  };
  return (
    <>
      <button
        type="button"
        class="lw-quiet lw-more"
        ref={button}
        aria-label={label}
        title={label}
        aria-haspopup="menu"
        aria-expanded={open}
        aria-controls={open ? id : undefined}
        onClick={() => setOpen(!open)}
        onKeyDown={(event) => {
          if (event.key !== "ArrowDown") return;
          event.preventDefault();
          setOpen(true);
        }}
      >
        {children}
      </button>
      {open && (
        <div class="lw-menu" id={id} ref={menu} role="menu" aria-label={label} popover="manual" onKeyDown={onKeyDown}>
          {items.map(({ name, onPick, disabled, apart }) => (
            <button
              key={name}
              type="button"
              role="menuitem"
              class={apart ? "lw-apart" : ""}
              tabIndex={-1}
              aria-disabled={disabled || undefined}
              onClick={() => {
                if (disabled) return;
                close();
                onPick();
              }}
            >
              {name}
            </button>
          ))}
        </div>
      )}
    </>
  );
}

function options(menu: Element): HTMLElement[] {
  return Array.from(menu.querySelectorAll<HTMLElement>('[role="menuitem"]'));
}

/** Puts the menu below its button, or above where there is more room, and within the page. */
function place(menu: HTMLElement, button: HTMLElement): void {
  const { bottom, right, top } = button.getBoundingClientRect();
  const { width, height } = menu.getBoundingClientRect();
  const above = bottom + GAP_PX + height > innerHeight && top > height;
  menu.style.left = `${Math.max(GAP_PX, right - width)}px`;
  menu.style.top = `${above ? top - GAP_PX - height : bottom + GAP_PX}px`;
}

/** Returns the next option whose name begins with the letter that was typed. */
function next(all: HTMLElement[], at: number, { key, ctrlKey, metaKey }: KeyboardEvent): number | undefined {
  if (key.length !== 1 || key === " " || ctrlKey || metaKey) return undefined;
  const begins = (each: HTMLElement) => each.textContent?.toLowerCase().startsWith(key.toLowerCase());
  const after = all.findIndex((each, index) => index > at && begins(each));
  const found = after < 0 ? all.findIndex(begins) : after;
  return found < 0 ? undefined : found;
}
