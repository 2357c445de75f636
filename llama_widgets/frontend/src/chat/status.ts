// What the panel is doing, in words.

import { bytesOf, count, percent, shortTime, speed } from "../format";
import type { ChatTraits, Turn } from "../messages";
import { GONE } from "../ui";
import { type ChatState, isBusy, rate } from "./state";

type Traits = Pick<ChatTraits, "model" | "state" | "loaded" | "progress" | "error">;

const BLOCKED = {
  stop:
    "The kernel is running a cell, so Stop will act when it ends. " +
    "To stop now, interrupt the kernel (Kernel → Interrupt).",
  send: "Waiting for the running cell; your message will be sent when it ends.",
};

/** The status line: `words` say what goes on, `figures` how far it is. */
export interface Status {
  words: string;
  figures: string;
}

export function status(traits: Traits, chat: ChatState): Status {
  if (chat.gone) return { words: GONE, figures: "" };
  if (chat.blocked) return { words: BLOCKED[chat.blocked], figures: "" };
  if (chat.stopping || traits.state === "stopping") return { words: "Stopping…", figures: "" };
  if (chat.pending)
    return { words: chat.pending.text.includes("{") ? "Filling in the message…" : "Sending…", figures: "" };
  switch (traits.state) {
    case "loading":
      return { words: "Loading model", figures: loading(traits) };
    case "waiting":
      return { words: "Waiting for another answer", figures: "" };
    case "prefill":
      return { words: "Reading the prompt", figures: tokensOf(traits) };
    case "tool": {
      const tool = chat.turns.findLast(({ role }) => role === "tool");
      const words = tool?.state === "waiting" ? "A tool waits to be confirmed" : "Running a tool";
      return { words, figures: tool?.name ?? "" };
    }
    case "error":
      return { words: traits.error?.message ?? "Something went wrong", figures: "" };
  }
  if (isBusy(chat) || traits.state === "generating") {
    const words = chat.live?.thoughts && !chat.live.text ? "Thinking" : "Answering";
    return { words, figures: answering(chat) };
  }
  if (traits.loaded) return { words: "Ready", figures: "" };
  return {
    words: traits.model ? "Ready · the model is loaded with the next message" : "Choose a model to start",
    figures: "",
  };
}

export function statusText({ words, figures }: Status): string {
  return figures ? `${words} · ${figures}` : words;
}

function loading({ progress }: Traits): string {
  if (!progress) return "";
  if (progress.operation === "download") return bytesOf(progress.done, progress.total);
  const part = percent(progress.done, progress.total);
  return part === null ? "" : `${part} %`;
}

function tokensOf({ progress }: Traits): string {
  if (progress?.operation !== "prefill") return "";
  return progress.total === null ? count(progress.done) : `${count(progress.done)} of ${count(progress.total)}`;
}

function answering(chat: ChatState): string {
  const perSecond = rate(chat);
  return perSecond === null ? "" : `${speed(perSecond)} tokens/s`;
}

function tokens(many: number): string {
  return `${count(many)} ${many === 1 ? "token" : "tokens"}`;
}

const ENDS: Record<string, string> = {
  abort: "stopped",
  max_tokens: "cut at max tokens",
  context_full: "context full",
  error: "broken off by an error",
};

/** What an answer cost: "38 tokens/s · first token 0.31 s · 96 tokens · 812 of 1,204 reused". */
export function footer({ usage, timings, stop_reason, dropped }: Partial<Turn>): string {
  const parts: string[] = [];
  if (timings?.decode_tps != null) parts.push(`${speed(timings.decode_tps)} tokens/s`);
  if (timings?.ttft_s != null) parts.push(`first token ${shortTime(timings.ttft_s)}`);
  if (usage) {
    parts.push(tokens(usage.completion_tokens));
    if (usage.prompt_tokens) parts.push(`${count(usage.cached_tokens)} of ${count(usage.prompt_tokens)} reused`);
  }
  if (dropped) parts.push(`${count(dropped)} older ${dropped === 1 ? "message" : "messages"} left out`);
  const ended = stop_reason && ENDS[stop_reason];
  if (ended) parts.push(ended);
  return parts.join(" · ");
}

/** How long the model thought: "Thought for 3.2 s · 118 tokens". */
export function thoughtsTitle({ usage, timings }: Partial<Turn>): string {
  const parts = [timings?.thought_s != null ? `Thought for ${shortTime(timings.thought_s)}` : "Thoughts"];
  if (usage?.thought_tokens) parts.push(tokens(usage.thought_tokens));
  return parts.join(" · ");
}

/** Whether an answer can be gone on with. */
export function wasCut({ role, stop_reason }: Turn): boolean {
  if (role === "tool") return true; // it was stopped while it ran
  return role === "assistant" && stop_reason !== undefined && !["eos", "stop", "tool_calls"].includes(stop_reason);
}

/** The oldest turn that the model was told for the last answer, where older ones had to leave. */
export function firstKept(turns: readonly Turn[]): string | undefined {
  return turns.findLast((turn) => turn.usage)?.first_kept;
}

const STATES: Record<string, string> = {
  waiting: "waits to be confirmed",
  running: "is running",
  done: "",
  failed: "failed",
  refused: "was not allowed",
  timeout: "took too long",
  stopped: "was stopped",
};

/** How far a call is: " · failed"; nothing where it went well. */
export function toolState({ state }: Turn): string {
  const words = STATES[state ?? ""];
  return words ? ` · ${words}` : "";
}

/** A call as it would be written: `weather(town: "Bern")`. */
export function callText({ name, arguments: given }: NonNullable<Turn["tool_calls"]>[number]): string {
  return `${name}(${Object.entries(given)
    .map(([key, value]) => `${key}: ${JSON.stringify(value)}`)
    .join(", ")})`;
}

/** Tokens of the context that the conversation takes, as of the last answer that says so. */
export function contextUsed(turns: readonly Turn[]): number | null {
  const usage = turns.findLast((turn) => turn.usage)?.usage;
  return usage ? usage.prompt_tokens + usage.completion_tokens : null;
}
