// What else a token could have been. Each of them can be taken: the answer goes on from there as a branch.

import { useEffect, useRef } from "preact/hooks";
import { count } from "../format";
import type { Token } from "./messages";
import { bits, share, visible } from "./words";

/** The chosen token stands among its alternatives, and cannot be chosen again. */
const FREE = "button:enabled";

interface AlternativesProps {
  token: Token;
  /** How many tokens the model knows; 0 if that is not known. */
  vocabulary: number;
  /** With each change the keyboard comes here; 0 at first. */
  focus: number;
  disabled: boolean;
  onChoose: (token: number) => void;
  onLeave: () => void;
}

export function Alternatives({ token, vocabulary, focus, disabled, onChoose, onLeave }: AlternativesProps) {
  const root = useRef<HTMLElement>(null);
  const taken = useRef(0);
  useEffect(() => {
    // While an answer is made they are all disabled: the keyboard comes when that has ended.
    const free = root.current?.querySelector<HTMLElement>(FREE);
    if (focus <= taken.current || !free) return;
    taken.current = focus;
    free.focus();
  }, [focus, disabled]);
  const onKeyDown = (event: KeyboardEvent) => {
    const buttons = Array.from(root.current?.querySelectorAll<HTMLElement>(FREE) ?? []);
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) buttons[buttons.indexOf(document.activeElement as HTMLElement) + step]?.focus();
    else if (event.key === "Escape") onLeave();
    else return;
    event.preventDefault();
  };
  if (token.logprob === null) {
    return <p class="lw-empty lw-muted">Nothing stands before the first token, so nothing was more or less likely.</p>;
  }
  const of = vocabulary ? ` of ${count(vocabulary)}` : "";
  const rank = token.rank ? `rank ${count(token.rank)}${of}` : `not among the ${token.top.length} likeliest`;
  return (
    <section class="lw-alternatives" aria-label="Alternatives" ref={root} onKeyDown={onKeyDown}>
      <div class="lw-small" aria-live="polite">
        <b class="lw-fixed">"{visible(token.text)}"</b>{" "}
        <span class="lw-muted">
          {rank} · {share(Math.exp(token.logprob))} · surprise {bits(token.logprob)}
        </span>
      </div>
      {token.top.length > 0 && (
        <>
          <ul>
            {token.top.map((each) => {
              const chosen = each.token === token.token;
              const p = Math.exp(each.logprob);
              return (
                <li key={each.token}>
                  <button
                    type="button"
                    disabled={disabled || chosen}
                    aria-label={`${chosen ? "Chosen" : "Continue with"} ${visible(each.text)}, ${share(p)}`}
                    onClick={() => onChoose(each.token)}
                  >
                    <span class="lw-fixed lw-ellipsis">{visible(each.text)}</span>
                    <span class="lw-chance">
                      <i style={{ width: `${100 * p}%` }} />
                    </span>
                    <span class="lw-figure">{share(p)}</span>
                    <span class="lw-muted lw-what">{chosen ? "chosen" : ""}</span>
                  </button>
                </li>
              );
            })}
          </ul>
          <p class="lw-small lw-muted">Choose one to continue from there as a new branch.</p>
        </>
      )}
    </section>
  );
}
