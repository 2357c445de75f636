// What the model really reads: the messages as its template writes them, with the tokens that no text can become.

import { useStore } from "../hooks";
import type { TabProps } from "./view";
import { some } from "./words";

const ROLES = ["system", "user", "assistant", "tool"];

export function Template({ session, busy }: TabProps) {
  const told = useStore(session.store, (state) => state.template);
  if (!told) {
    return (
      <p class="lw-empty lw-muted" role="status">
        {busy ? "Writing the messages with the model’s template…" : "There is nothing to show yet."}
      </p>
    );
  }
  const roles = ROLES.filter((role) => told.runs.some((run) => run.role === role));
  return (
    <div class="lw-template">
      <p class="lw-small lw-muted">
        What the model really reads: {some(told.tokens, "token")}.{" "}
        {roles.map((role) => (
          <span key={role} class="lw-role" data-role={role}>
            {role}
          </span>
        ))}{" "}
        <span class="lw-special">special token</span>
      </p>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, and the keyboard must be able to do that */}
      <section class="lw-text" tabIndex={0} aria-label="What the model reads">
        {told.runs.map(({ role, text, special }, index) => (
          <span
            key={index}
            class={special ? "lw-special" : role ? "lw-role" : undefined}
            data-role={role || undefined}
            title={role ? `message of the role ${role}` : undefined}
          >
            {text}
          </span>
        ))}
      </section>
    </div>
  );
}
