// The events that come over the worker's border. Twin: ../../protocol.py; keep them in step. Commands: commands.ts.

import {
  anything,
  type Full,
  flag,
  type Incoming,
  list,
  nullable,
  number,
  oneOf,
  open,
  or,
  record,
  text,
  whole,
} from "./wire";

export const VERSION = 1;

const anyRecord = record(anything);

const count = or(whole(), 0);
const figure = or(nullable(number()), null);
export const words = or(text, "");
const records = or(list(anyRecord), []);
const cancelled = or(flag, false);

export const usage = open({
  prompt_tokens: count,
  cached_tokens: count,
  completion_tokens: count,
  thought_tokens: count,
  evaluated_tokens: count,
});

export const timings = open({ ttft_s: figure, prefill_tps: figure, decode_tps: figure, thought_s: figure });

const modelLoaded = {
  model: text,
  name: words,
  path: words,
  architecture: words,
  quantisation: words,
  n_params: count,
  n_ctx: count,
  n_ctx_train: count,
  n_seq_max: count,
  template: or(oneOf("model", "plain", "given"), "model"),
  template_sha256: words,
  memory: count,
  supports: or(record(flag), {}),
  cancelled,
};

export const EVENTS = {
  info: { level: or(oneOf("info", "warning"), "info"), message: words, data: or(anyRecord, {}) },
  error: { code: text, message: text, hint: words, recoverable: or(flag, true) },
  progress: {
    operation: oneOf("load", "prefill", "download", "verify"),
    done: whole(),
    total: or(nullable(whole()), null),
    rate: figure,
    eta_s: figure,
  },
  completion_chunk: {
    seq: whole(),
    text,
    tokens: count,
    segment: or(oneOf("text", "thought"), "text"),
    logprobs: records,
  },
  completion_done: {
    text,
    stop_reason: oneOf("eos", "stop", "max_tokens", "context_full", "tool_calls", "abort"),
    thoughts: words,
    tool_calls: records,
    logprobs: records,
    dropped: count,
    usage: or(usage, usage({}, "usage")),
    timings: or(timings, timings({}, "timings")),
  },
  model_loaded: modelLoaded,
  embed_done: { data: words, shape: or(list(whole()), []), tokens: count, cancelled },
  predict_done: {
    candidates: records,
    stages: records,
    chosen: or(anyRecord, {}),
    n_tokens: count,
    n_vocab: count,
    ended: or(flag, false),
    cancelled,
  },
  judge_done: { tokens: records, n_before: count, n_vocab: count, cancelled },
  download_done: { path: words, sha256: words, cancelled },
};

export type Event = Incoming<typeof EVENTS>;
export type Usage = ReturnType<typeof usage>;
export type Timings = ReturnType<typeof timings>;
export type ModelLoaded = Full<typeof modelLoaded>;
