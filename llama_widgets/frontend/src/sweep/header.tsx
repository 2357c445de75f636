// How far the sweep is, and what ends it or goes on with it.

import { count, duration, speed } from "../format";
import { Bar, Spoken } from "../ui";
import { newId } from "../wire";
import type { Standing } from "./messages";
import type { SweepSession } from "./session";

interface HeaderProps {
  standing: Standing;
  synced: boolean;
  /** Whether any run has begun. */
  begun: boolean;
  session: SweepSession;
}

export function Header({ standing, synced, begun, session }: HeaderProps) {
  const { state, done, failed, total, rate, eta_s } = standing;
  const running = state === "running";
  const facts = [
    running && synced && !begun ? "waiting for the model" : "",
    running && rate ? `batched · ${speed(rate)} tokens/s together` : "",
    running && eta_s !== null ? `${duration(eta_s)} left` : "",
    running || !synced ? "" : state,
    failed ? `${count(failed)} failed` : "",
  ];
  const name = `${count(done)} of ${count(total)} runs`;
  return (
    <>
      <div class="lw-bar lw-row lw-standing">
        <b>{synced ? name : "Sweep"}</b>
        <span class="lw-muted lw-small lw-grow">{facts.filter(Boolean).join(" · ")}</span>
        {running && synced && (
          <button
            type="button"
            class="lw-button lw-stop"
            onClick={() => session.send({ type: "abort", request_id: newId(), target: "sweep" })}
          >
            <span aria-hidden="true">■ </span>Stop
          </button>
        )}
        {!running && (done < total || failed > 0) && (
          <button
            type="button"
            class="lw-button"
            onClick={() => session.send({ type: "resume_sweep", request_id: newId() })}
          >
            {done < total ? "Resume" : "Try failed runs again"}
          </button>
        )}
      </div>
      {running && <Bar name="Sweep" percent={total ? Math.floor((100 * done) / total) : null} text={name} />}
      <Spoken>{synced && !running ? `Sweep ${state}: ${name}${failed ? `, ${failed} failed` : ""}` : ""}</Spoken>
    </>
  );
}
