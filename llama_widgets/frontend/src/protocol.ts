// The messages that cross the worker's border. Twin: ../../protocol.py and ../../options.py; keep them in step.

import {
  anything,
  either,
  type Full,
  flag,
  type Incoming,
  list,
  nullable,
  number,
  type Outgoing,
  object,
  oneOf,
  open,
  or,
  record,
  text,
  whole,
} from "./wire";

export const VERSION = 1;

const auto = oneOf("auto");
const autoOr = (low: number, high: number) => or(either(whole(low, high), auto), "auto");

const loadOptions = object({
  n_ctx: autoOr(16, 16_777_216),
  n_gpu_layers: autoOr(0, 10_000),
  n_batch: or(whole(1, 65_536), 512),
  n_threads: autoOr(1, 1_024),
});
const loadDefaults = loadOptions({}, "options");

const generationOptions = object({
  max_tokens: or(nullable(whole(1)), null),
  temperature: or(number(0, 5), 0.8),
  top_k: or(whole(0, 1_000_000), 40),
  top_p: or(number(0, 1), 0.95),
  min_p: or(number(0, 1), 0.05),
  repeat_penalty: or(number(0.1, 10), 1),
  seed: or(nullable(whole(0, 2 ** 32 - 1)), null),
  stop: or(list(text), []),
});
const generationDefaults = generationOptions({}, "options");

const anyRecord = record(anything);

export const COMMANDS = {
  init: { protocol: or(whole(), VERSION), options: or(anyRecord, {}) },
  load_model: { model: text, options: or(loadOptions, loadDefaults) },
  unload_model: {},
  create_context: { options: or(loadOptions, loadDefaults) },
  generate_completion: {
    prompt: text,
    options: or(generationOptions, generationDefaults),
    model: or(nullable(text), null),
  },
  generate_chat_completion: {
    messages: list(anyRecord),
    options: or(generationOptions, generationDefaults),
    model: or(nullable(text), null),
    thinking: or(either(flag, auto), "auto"),
    response_prefix: or(text, ""),
  },
  // `token` of the Python twin is missing on purpose: a secret has no business in a browser.
  download_model: {
    model: text,
    revision: or(nullable(text), null),
    directory: or(nullable(text), null),
  },
  abort: { target: text },
};

const stopReason = oneOf("eos", "stop", "max_tokens", "context_full", "abort");

export const usage = open({
  prompt_tokens: or(whole(), 0),
  cached_tokens: or(whole(), 0),
  completion_tokens: or(whole(), 0),
});

export const timings = open({
  ttft_s: or(nullable(number()), null),
  prefill_tps: or(nullable(number()), null),
  decode_tps: or(nullable(number()), null),
});

const modelLoaded = {
  model: text,
  name: or(text, ""),
  path: or(text, ""),
  architecture: or(text, ""),
  quantisation: or(text, ""),
  n_params: or(whole(), 0),
  n_ctx: or(whole(), 0),
  n_ctx_train: or(whole(), 0),
  template: or(oneOf("model", "plain"), "model"),
  memory: or(whole(), 0),
  supports: or(anyRecord, {}),
  cancelled: or(flag, false),
};

export const EVENTS = {
  info: {
    level: or(oneOf("info", "warning"), "info"),
    message: or(text, ""),
    data: or(anyRecord, {}),
  },
  error: { code: text, message: text, hint: or(text, ""), recoverable: or(flag, true) },
  progress: {
    operation: oneOf("load", "prefill", "download", "verify"),
    done: whole(),
    total: or(nullable(whole()), null),
    rate: or(nullable(number()), null),
    eta_s: or(nullable(number()), null),
  },
  completion_chunk: {
    seq: whole(),
    text,
    tokens: or(whole(), 0),
    segment: or(oneOf("text", "thought"), "text"),
  },
  completion_done: {
    text,
    stop_reason: stopReason,
    thoughts: or(text, ""),
    usage: or(usage, usage({}, "usage")),
    timings: or(timings, timings({}, "timings")),
  },
  model_loaded: modelLoaded,
  download_done: { path: or(text, ""), sha256: or(text, ""), cancelled: or(flag, false) },
};

export type Command = Outgoing<typeof COMMANDS>;
export type Event = Incoming<typeof EVENTS>;
export type Usage = ReturnType<typeof usage>;
export type Timings = ReturnType<typeof timings>;
export type ModelLoaded = Full<typeof modelLoaded>;
