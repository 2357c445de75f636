// Small parts that several views use.

import type { AnyModel } from "@anywidget/types";
import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { useGone } from "./hooks";
import type { Failure } from "./messages";

/** What a widget says that has lost its kernel. */
export const GONE = "The kernel was restarted or is gone. Running the cell again starts anew.";

/** A widget's content, which can do nothing more and says so when the kernel is gone. */
export function Connected({ model, children }: { model: AnyModel; children: ComponentChildren }) {
  const gone = useGone(model);
  return (
    <>
      <fieldset class="lw-bare" role="none" disabled={gone}>
        {children}
      </fieldset>
      {gone && (
        <p class="lw-empty lw-muted" role="status">
          {GONE}
        </p>
      )}
    </>
  );
}

export function Alert({ error }: { error: Failure | null }) {
  if (!error) return null;
  return (
    <div class="lw-alert" role="alert">
      <span>{error.message}</span>
      {error.hint && <span class="lw-muted"> {error.hint}</span>}
    </div>
  );
}

/** What there is to warn of. */
export function Notices({ notices }: { notices: readonly string[] }) {
  if (notices.length === 0) return null;
  return (
    <div class="lw-alert lw-notice" role="status">
      {notices.map((notice) => (
        <div key={notice}>{notice}</div>
      ))}
    </div>
  );
}

interface BarProps {
  name: string;
  percent: number | null;
  text: string;
}

/** A progress bar; without `percent` one that only says that something goes on. */
export function Bar({ name, percent, text }: BarProps) {
  const known = percent === null ? {} : { "aria-valuenow": percent };
  return (
    <div
      class={percent === null ? "lw-progress lw-unknown" : "lw-progress"}
      role="progressbar"
      aria-label={name}
      aria-valuemin={0}
      aria-valuemax={100}
      aria-valuetext={text}
      {...known}
    >
      <i style={{ width: `${percent ?? 30}%` }} />
    </div>
  );
}

/** Read out by a screen reader when it changes; never seen. */
export function Spoken({ children }: { children: ComponentChildren }) {
  return (
    <div class="lw-hidden" aria-live="polite">
      {children}
    </div>
  );
}

export async function copy(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copyThroughSelection(text); // pages served over plain HTTP have no clipboard
  }
}

function copyThroughSelection(text: string): boolean {
  const focused = document.activeElement;
  const box = document.createElement("textarea");
  box.value = text;
  box.className = "lw-hidden";
  document.body.append(box);
  box.select();
  const done = document.execCommand("copy");
  box.remove();
  if (focused instanceof HTMLElement) focused.focus();
  return done;
}

/** How long "Copied" stays. */
export const COPIED_MS = 1500;

export function CopyButton({ text }: { text: string }) {
  const [copied, setCopied] = useState(false);
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  useEffect(() => () => clearTimeout(timer.current), []);
  const onClick = async () => {
    if (!(await copy(text))) return;
    setCopied(true);
    clearTimeout(timer.current);
    timer.current = setTimeout(() => setCopied(false), COPIED_MS);
  };
  return (
    <button type="button" class="lw-quiet" aria-label="Copy" onClick={onClick}>
      {copied ? "Copied" : "Copy"}
    </button>
  );
}
