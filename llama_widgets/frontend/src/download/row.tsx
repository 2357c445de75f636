// One download: how far it is, and what can be done about it.

import { byteRate, bytes, bytesOf, duration, percent, roughBytes } from "../format";
import { useUniqueId } from "../hooks";
import type { Download, Failure, FromView } from "../messages";
import { Alert, Bar, Spoken } from "../ui";
import { newId } from "../wire";

export function downloadText({ state, done, total, rate, eta_s, free_after }: Download): string {
  const amount = bytesOf(done, total);
  switch (state) {
    case "waiting":
      return "waiting";
    case "downloading": {
      const parts = [amount];
      if (rate !== null) parts.push(byteRate(rate));
      if (eta_s !== null) parts.push(`${duration(eta_s)} left`);
      if (free_after !== null) parts.push(`${roughBytes(free_after)} free after`);
      return parts.join(" · ");
    }
    case "paused":
      return `${amount} · paused`;
    case "verifying":
      return `${amount} · checking the file`;
    case "done":
      return `${bytes(total ?? done)} · done`;
    case "failed":
      return `${amount} · failed`;
    case "cancelled":
      return "cancelled";
  }
}

/** What a screen reader says of its own accord: each quarter and the end, not each tick, nor what the user just did. */
export function spoken({ name, state, done, total }: Download): string {
  if (state === "done") return `${name} is here`;
  const part = percent(done, total) ?? 0;
  return state === "downloading" && part >= 25 ? `${name}: ${part - (part % 25)} %` : "";
}

function failure(error: Download["error"]): Failure | null {
  return typeof error === "string" ? { code: "download", message: error, hint: "" } : error;
}

interface RowProps {
  download: Download;
  send: (message: FromView) => void;
}

export function DownloadRow({ download, send }: RowProps) {
  const { id, name, state, done, total, note } = download;
  const label = useUniqueId();
  const text = downloadText(download);
  const order = (type: "pause" | "resume" | "abort" | "discard", word: string) => (
    <button
      type="button"
      class="lw-button"
      aria-describedby={label}
      onClick={() => send({ type, request_id: newId(), target: id })}
    >
      {word}
    </button>
  );
  const ended = state === "done" || state === "cancelled";
  const going = state === "waiting" || state === "downloading";
  return (
    <div class="lw-download" data-state={state}>
      <div class="lw-row">
        <b id={label} class="lw-ellipsis" title={download.model}>
          {name}
        </b>
        <span class="lw-muted lw-small">{text}</span>
        {!ended && (
          <span class="lw-buttons">
            {/* One button with two words: the focus stays on it. */}
            {state !== "verifying" && (going ? order("pause", "Pause") : order("resume", "Resume"))}
            {order("abort", "Cancel")}
            {!going && state !== "verifying" && done > 0 && order("discard", "Discard")}
          </span>
        )}
      </div>
      {state !== "cancelled" && (total !== null || going || state === "verifying") && (
        <Bar name={name} percent={percent(done, total)} text={text} />
      )}
      {going && note && <div class="lw-muted lw-small">{note}</div>}
      <Alert error={failure(download.error)} />
      <Spoken>{spoken(download)}</Spoken>
    </div>
  );
}

export function DownloadList({ downloads, send }: { downloads: readonly Download[]; send: RowProps["send"] }) {
  return (
    <>
      {downloads.map((download) => (
        <DownloadRow key={download.id} download={download} send={send} />
      ))}
    </>
  );
}
