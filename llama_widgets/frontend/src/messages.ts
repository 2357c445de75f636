// What a widget and its views say to each other, beside commands and events. Twin: ../../widgets/messages/.

import { type FROM_VIEW, partName } from "./commands";
import { EVENTS, timings, usage, words } from "./protocol";
import {
  anything,
  flag,
  type Incoming,
  list,
  nullable,
  number,
  type Outgoing,
  oneOf,
  open,
  or,
  record,
  text,
  whole,
} from "./wire";

/** Comm target that front ends open for themselves; the kernel never sends on it. See `transport.ts`. */
export const CONTROL_TARGET = "llama_widgets.control";

/** One turn. Those of tools are results, each of a call that the answer before made. */
const turn = open({ id: text, role: oneOf("system", "user", "assistant", "tool"), content: text });
const insert = open({
  source: text,
  /** From and to which character; Python counts those outside of the BMP as one. */
  start: whole(0),
  end: whole(0),
  kind: oneOf("value", "file"),
  tokens: or(nullable(whole(0)), null),
});
export type Insert = ReturnType<typeof insert>;

/** What would be put into a message that is being written. */
const preview = open({
  source: text,
  kind: oneOf("value", "file"),
  /** `null` where it is not known: it calls something, or cannot be filled in. */
  text: nullable(text),
  tokens: nullable(whole(0)),
  error: text,
});
export type Preview = ReturnType<typeof preview>;

/** A text file that goes along with a message. */
const textFile = open({ name: text, text });
export type TextFile = ReturnType<typeof textFile>;

const call = open({ id: text, name: text, arguments: record(anything) });

export interface Turn extends ReturnType<typeof turn> {
  /** How an answer ended, also "error"; it is missing while the answer is being made. */
  stop_reason?: string;
  thoughts?: string;
  tool_calls?: ReturnType<typeof call>[];
  /** Messages that were left out for this answer, because the context was full. */
  dropped?: number;
  /** The oldest turn that the model was still told then. */
  first_kept?: string;
  /** Of a turn that has just settled: how long text and thoughts are, which have arrived as chunks. */
  streamed?: number[];
  /** Ids of what was said in this turn's place, itself among them, where there is more than one. */
  siblings?: string[];
  /** Of a question that was filled in here: what was typed. */
  typed?: string;
  /** What was put into a question, in the order of its text. */
  inserts?: Insert[];
  /** Of a tool's turn: which call it answers, the tool's name and how far it is. */
  tool_call_id?: string;
  name?: string;
  state?: string;
  usage?: ReturnType<typeof usage>;
  timings?: ReturnType<typeof timings>;
}

const readTurn = (value: unknown, name: string): Turn => {
  const read: Turn = turn(value, name);
  if (read.stop_reason !== undefined) read.stop_reason = text(read.stop_reason, `${name}.stop_reason`);
  if (read.thoughts !== undefined) read.thoughts = text(read.thoughts, `${name}.thoughts`);
  if (read.tool_calls !== undefined) read.tool_calls = list(call)(read.tool_calls, `${name}.tool_calls`);
  if (read.dropped !== undefined) read.dropped = whole()(read.dropped, `${name}.dropped`);
  if (read.first_kept !== undefined) read.first_kept = text(read.first_kept, `${name}.first_kept`);
  if (read.streamed !== undefined) read.streamed = list(whole(0))(read.streamed, `${name}.streamed`);
  if (read.siblings !== undefined) read.siblings = list(text)(read.siblings, `${name}.siblings`);
  if (read.typed !== undefined) read.typed = text(read.typed, `${name}.typed`);
  if (read.inserts !== undefined) read.inserts = list(insert)(read.inserts, `${name}.inserts`);
  if (read.tool_call_id !== undefined) read.tool_call_id = text(read.tool_call_id, `${name}.tool_call_id`);
  if (read.name !== undefined) read.name = text(read.name, `${name}.name`);
  if (read.state !== undefined) read.state = text(read.state, `${name}.state`);
  if (read.usage !== undefined) read.usage = usage(read.usage, `${name}.usage`);
  if (read.timings !== undefined) read.timings = timings(read.timings, `${name}.timings`);
  return read;
};

const count = or(whole(0), 0);

/** A repository of the hub. */
const hubModel = open({
  model: text,
  licence: words,
  good_at: words,
  gated: or(flag, false),
  downloads: count,
  likes: count,
  n_params: count,
  updated: or(nullable(number()), null),
});
export type HubModel = ReturnType<typeof hubModel>;

/** Whether a model fits into memory. */
const verdict = oneOf("fits", "tight", "too big");
const fit = open({ verdict, total: whole(0), n_ctx: whole(0) });
export type Fit = ReturnType<typeof fit>;

const estimate = open({
  verdict,
  total: whole(0),
  n_ctx: whole(0),
  weights: whole(0),
  cache: whole(0),
  compute: whole(0),
  free: whole(0),
});
export type Estimate = ReturnType<typeof estimate>;

const file = open({ model: text, quantisation: text, size: whole(0), fit: or(nullable(fit), null) });
export type HubFile = ReturnType<typeof file>;

const info = open({
  model: text,
  path: words,
  name: words,
  architecture: words,
  quantisation: words,
  tokenizer: words,
  licence: words,
  template: words,
  size: count,
  n_params: count,
  n_ctx_train: count,
  n_layer: count,
  n_vocab: count,
  files: or(list(file), []),
  gated: or(flag, false),
  downloads: count,
  likes: count,
  updated: or(nullable(number()), null),
});
export type ModelInfo = ReturnType<typeof info>;

const refusal = open({ code: text, message: text, hint: text });

const bound = or<number | null | undefined>(nullable(number()), undefined);

/** A setting as it is shown: `../../widgets/described.py` makes it of the declaration of the option. */
const setting = open({
  name: text,
  label: text,
  help: text,
  kind: oneOf("number", "choice", "flag", "text", "lines", "json"),
  default: anything,
  low: bound,
  high: bound,
  /** Of a slider, where there is one. */
  step: or<number | undefined>(number(0), undefined),
  options: or<unknown[] | undefined>(list(anything), undefined),
  /** Why it cannot be changed. */
  locked: or<string | undefined>(text, undefined),
  /** Whether nothing is a value too. */
  empty: or<boolean | undefined>(flag, undefined),
});
export type Setting = ReturnType<typeof setting>;

const group = open({ title: text, settings: list(setting) });
export type SettingsGroup = ReturnType<typeof group>;

const preset = open({ name: text, built_in: flag, settings: record(anything) });
export type Preset = ReturnType<typeof preset>;

export const TO_VIEW = {
  pong: {},
  part_code: { name: partName, code: text, css: text },
  snapshot: {
    turns: or(list(readTurn), []),
    running: or(text, ""),
    seq: or(whole(), 0),
    tokens: or(whole(), 0),
    earlier: or(whole(0), 0),
  },
  turn: { turn: readTurn },
  branched: { after: text, turns: or(list(readTurn), []) },
  rejected: { text, turn: text },
  draft: { text, files: or(nullable(list(textFile)), null) },
  completions: { start: whole(0), names: list(text) },
  code: { text },
  earlier_turns: { turns: nullable(list(readTurn)) },
  previewed: { inserts: list(preview) },
  found: { models: list(hubModel) },
  looked: { info, estimates: list(estimate), refusal: or(nullable(refusal), null) },
  deleted: { freed: whole(0), dry_run: or(flag, false) },
  settings: { presets: list(preset), groups: or(list(group), []) },
  configured: {},
  preset_file: { text },
  exported: { name: text, text },
};

/** Everything that can arrive in a view. */
export const INCOMING = { ...EVENTS, ...TO_VIEW };

export type FromView = Outgoing<typeof FROM_VIEW>;
export type ToView = Incoming<typeof INCOMING>;
export type Looked = Extract<ToView, { type: "looked" }>;

// Traits: written by the kernel, read by the browser.

export interface Failure {
  code: string;
  message: string;
  hint: string;
}

export interface Loaded {
  name: string;
  path: string;
  quantisation: string;
  n_ctx: number;
  memory: number;
}

export interface ModelEntry {
  model: string;
  name: string;
  quantisation: string;
  size: number;
  source: "demo" | "cache" | "ollama" | "lm-studio" | "folder";
  path: string;
  /** When it was last loaded, in seconds since 1970; 0 if never. */
  used: number;
}

export interface Download {
  id: string;
  name: string;
  model: string;
  state: "waiting" | "downloading" | "paused" | "verifying" | "done" | "failed" | "cancelled";
  done: number;
  total: number | null;
  rate: number | null;
  eta_s: number | null;
  /** Bytes that will be free on its disk. */
  free_after: number | null;
  /** The last thing to know, such as that the hub asked to wait. */
  note: string;
  error: Failure | string | null;
}

export interface Conversation {
  id: string;
  name: string;
  current: boolean;
}

export type ChatTraits = {
  conversations: Conversation[];
  can_undo: boolean;
  model: string;
  state: "idle" | "loading" | "ready" | "waiting" | "prefill" | "generating" | "tool" | "stopping" | "error";
  loaded: Loaded | null;
  progress: { operation: string; done: number; total: number | null } | null;
  error: Failure | null;
  notices: string[];
  running: string;
  /** The next question loads the model anew. */
  stale: boolean;
  height: string;
  selector: string;
};

/** Of one answer of a chat cell: the cell's id, and the output that is to stay. */
export type AnswerTraits = { cell: string; settled: Record<string, string> | null };

export type SelectorTraits = {
  value: string;
  models: ModelEntry[];
  loaded: string;
  loading: { request_id: string; name: string; done: number; total: number | null } | null;
  downloads: Download[];
  error: Failure | null;
  notices: string[];
  folder: string;
  fits: Record<string, Fit>;
  free: number;
  leftovers: { count?: number; size?: number };
  /** Why no other model can be chosen. */
  locked: string;
};

export type DownloadTraits = { downloads: Download[] };
