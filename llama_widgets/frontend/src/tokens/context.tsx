// What fills the context of the model, and what was left out because it is full.

import { count } from "../format";
import { useStore } from "../hooks";
import type { Of } from "./messages";
import type { TabProps } from "./view";
import { some } from "./words";

type Stretch = Of<"context">["stretches"][number];

const NAMES: Record<Stretch["kind"], string> = {
  template: "template",
  system: "system prompt",
  dropped: "left out",
  kept: "kept",
  new: "new",
};

export function Context({ session, busy }: TabProps) {
  const told = useStore(session.store, (state) => state.context);
  if (!told) {
    return (
      <p class="lw-empty lw-muted" role="status">
        {busy ? "Counting…" : "There is nothing to show yet."}
      </p>
    );
  }
  const { size, stretches } = told;
  const used = stretches.reduce((sum, { kind, tokens }) => sum + (kind === "dropped" ? 0 : tokens), 0);
  const dropped = stretches.filter(({ kind }) => kind === "dropped");
  const whole = Math.max(size, used) + dropped.reduce((sum, { tokens }) => sum + tokens, 0);
  return (
    <div class="lw-context">
      <p class="lw-small">
        <b>
          {count(used)} of {count(size)} tokens
        </b>
        <span class="lw-muted">
          {" "}
          · {count(Math.max(0, size - used))} free for the answer and what follows
          {dropped.length > 0 && ` · ${some(dropped.length, "message")} left out: the model does not see what they say`}
        </span>
      </p>
      <div class="lw-ribbon" aria-hidden="true">
        {stretches.map(({ kind, tokens }, index) => (
          <i key={index} data-kind={kind} style={{ width: `${(100 * tokens) / whole}%` }} />
        ))}
        <i data-kind="free" style={{ flex: 1 }} />
      </div>
      <table class="lw-small">
        <thead>
          <tr>
            <th scope="col">Part</th>
            <th scope="col">Message</th>
            <th scope="col">Tokens</th>
          </tr>
        </thead>
        <tbody>
          {stretches.map(({ kind, role, text, tokens }, index) => (
            <tr key={index} data-kind={kind}>
              <td>
                <i class="lw-swatch" data-kind={kind} aria-hidden="true" /> {NAMES[kind]}
              </td>
              <td class="lw-ellipsis">
                {role && <span class="lw-muted">{role} </span>}
                {text}
              </td>
              <td class="lw-figure">{count(tokens)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
