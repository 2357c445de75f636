// One download: how far it is, and what can be done about it.

import { useId } from "preact/hooks";
import { byteRate, bytes, bytesOf, duration, percent } from "../format";
import type { Download, Failure, FromView } from "../messages";
import { Alert, Bar } from "../ui";
import { newId } from "../wire";

export function downloadText({ state, done, total, rate, eta_s }: Download): string {
  const amount = bytesOf(done, total);
  switch (state) {
    case "waiting":
      return "waiting";
    case "downloading": {
      const parts = [amount];
      if (rate !== null) parts.push(byteRate(rate));
      if (eta_s !== null) parts.push(`${duration(eta_s)} left`);
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

function failure(error: Download["error"]): Failure | null {
  return typeof error === "string" ? { code: "download", message: error, hint: "" } : error;
}

interface RowProps {
  download: Download;
  send: (message: FromView) => void;
}

export function DownloadRow({ download, send }: RowProps) {
  const { id, name, state, done, total } = download;
  const label = useId();
  const text = downloadText(download);
  const order = (type: "pause" | "resume" | "abort", word: string) => (
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
  const working = state === "waiting" || state === "downloading" || state === "verifying";
  return (
    <div class="lw-download" data-state={state}>
      <div class="lw-row">
        <b id={label} class="lw-ellipsis" title={download.model}>
          {name}
        </b>
        <span class="lw-muted lw-small">{text}</span>
        <span class="lw-grow" />
        {(state === "downloading" || state === "waiting") && order("pause", "Pause")}
        {(state === "paused" || state === "failed") && order("resume", "Resume")}
        {!ended && order("abort", "Cancel")}
      </div>
      {(total !== null || working) && <Bar name={name} percent={percent(done, total)} text={text} />}
      <Alert error={failure(download.error)} />
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
