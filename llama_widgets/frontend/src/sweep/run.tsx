// One run in full.

import type { AnyModel } from "@anywidget/types";
import type { ComponentChildren } from "preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { count, shortTime, speed } from "../format";
import { useStore } from "../hooks";
import { InsertAsCell } from "../insert";
import { MarkdownStream } from "../markdown/stream";
import { CopyButton } from "../ui";
import { newId } from "../wire";
import type { WholeRun } from "./messages";
import type { SweepSession } from "./session";
import type { Run } from "./state";

/** Returns all of a run, again when it has ended or got a score; `null` until it comes. */
export function useRun(session: SweepSession, index: number, run: Run | undefined): WholeRun | null {
  const [all, setAll] = useState<WholeRun | null>(null);
  useEffect(() => {
    let wanted = true;
    void session.ask({ type: "open_run", request_id: newId(), index }).then((answer) => {
      if (wanted) setAll(answer.run);
    });
    return () => {
      wanted = false;
    };
  }, [index, run?.state, run?.score]);
  return all;
}

interface RunViewProps {
  session: SweepSession;
  index: number;
  run: Run | undefined;
  title: string;
  onCompare: () => void;
  onClose: () => void;
}

export function RunView({ session, index, run, title, onCompare, onClose }: RunViewProps) {
  const all = useRun(session, index, run);
  const gone = useStore(session.store, ({ gone: lost }) => lost);
  const text = all?.text ?? run?.text ?? "";
  return (
    <Shown label={`Run ${index + 1}`} onClose={onClose}>
      <div class="lw-row lw-shown-head">
        <b class="lw-grow">{title}</b>
        <button type="button" class="lw-quiet" onClick={onCompare}>
          Compare with…
        </button>
        {text && <CopyButton text={text} />}
        {all?.code && <InsertAsCell model={session.model as AnyModel} code={() => all.code} />}
        <CloseButton onClose={onClose} />
      </div>
      {all && <p class="lw-muted lw-small">{figuresOf(all)}</p>}
      {!all && gone && <p class="lw-muted lw-small">The whole reply is gone with the kernel. This is its beginning.</p>}
      {all?.error && <p class="lw-failed">Failed: {all.error}</p>}
      {all?.score_error && <p class="lw-failed">No score: {all.score_error}</p>}
      {all?.parse_error && <p class="lw-failed">Not as the schema wants it: {all.parse_error}</p>}
      <Reply session={session} text={run?.state === "failed" ? (all?.text ?? "") : text} />
      {all && <More all={all} />}
    </Shown>
  );
}

function More({ all }: { all: WholeRun }) {
  return (
    <>
      {all.thoughts && (
        <details>
          <summary>Thoughts</summary>
          <p class="lw-verbatim lw-muted">{all.thoughts}</p>
        </details>
      )}
      {all.parsed !== null && (
        <details>
          <summary>Parsed value</summary>
          <pre class="lw-verbatim">{all.parsed}</pre>
        </details>
      )}
      <details>
        <summary>Settings</summary>
        <dl class="lw-settings-of">
          {all.settings.map(([name, value]) => (
            <div key={name}>
              <dt class="lw-muted">{name}</dt>
              <dd>{value}</dd>
            </div>
          ))}
        </dl>
      </details>
      <details>
        <summary>Messages</summary>
        {all.messages.map(({ role, content }, at) => (
          <p class="lw-verbatim" key={at}>
            <b>{role}</b> {content}
          </p>
        ))}
      </details>
      {all.tokens.length > 0 && (
        <details>
          <summary>Tokens and their log-probabilities</summary>
          <ol class="lw-tokens-of">
            {all.tokens.map(([token, logprob], at) => (
              <li key={at} style={{ "--lw-share": `${Math.round(36 * Math.exp(Number(logprob)))}%` }}>
                <code>{String(token).replaceAll(" ", "␣").replaceAll("\n", "↵")}</code>
                <span class="lw-muted lw-small">{Number(logprob).toFixed(2)}</span>
              </li>
            ))}
          </ol>
        </details>
      )}
    </>
  );
}

function Reply({ session, text }: { session: SweepSession; text: string }) {
  const root = useRef<HTMLDivElement>(null);
  const stream = useRef<MarkdownStream>(undefined);
  useLayoutEffect(() => {
    if (!root.current) return;
    stream.current ??= new MarkdownStream(root.current, session.channel.parts);
    stream.current.show(text, true);
  }, [text]);
  return <div class="lw-markdown" ref={root} />;
}

/** "38 tokens/s · first token 0.31 s": what there is to say of a run in a line. */
export function figuresOf(run: WholeRun): string {
  const { score, mean_logprob, completion_tokens, prompt_tokens, ttft_s, decode_tps, seconds } = run;
  const facts = [
    score === null ? "" : `score ${Number(score.toPrecision(4))}`,
    completion_tokens === null ? "" : `${count(completion_tokens)} tokens`,
    prompt_tokens === null ? "" : `${count(prompt_tokens)} of prompt`,
    decode_tps === null ? "" : `${speed(decode_tps)} tokens/s`,
    ttft_s === null ? "" : `first token ${shortTime(ttft_s)}`,
    seconds === null ? "" : shortTime(seconds),
    mean_logprob === null ? "" : `mean log-probability ${mean_logprob.toFixed(2)}`,
    run.stop_reason || run.state,
  ];
  return facts.filter(Boolean).join(" · ");
}

interface ShownProps {
  label: string;
  onClose: () => void;
  children: ComponentChildren;
}

/** What stands below the grid; Escape closes it. */
export function Shown({ label, onClose, children }: ShownProps) {
  return (
    // biome-ignore lint/a11y/useSemanticElements: a section of its own in the page's outline, named by its label
    <div
      class="lw-shown"
      role="region"
      aria-label={label}
      tabIndex={-1}
      onKeyDown={(event) => {
        if (event.key === "Escape") onClose();
      }}
    >
      {children}
    </div>
  );
}

export function CloseButton({ onClose }: { onClose: () => void }) {
  return (
    <button type="button" class="lw-quiet" aria-label="Close" onClick={onClose}>
      ✕
    </button>
  );
}
