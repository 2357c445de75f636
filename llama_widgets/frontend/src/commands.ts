// What goes to the kernel. Twin: ../../protocol.py, ../../options.py and ../../widgets/messages/; keep them in step.
//
// The kernel checks it; bundles take only the types from here, so that the readers weigh nothing in them. The tests hold
// these to the same golden messages as the kernel's.

import { VERSION } from "./protocol";
import { anything, either, flag, list, nullable, number, object, oneOf, or, record, text, whole } from "./wire";

const anyRecord = record(anything);
const auto = oneOf("auto");
const autoOr = (low: number, high: number) => or(either(whole(low, high), auto), "auto");
/** What a user has just typed; it is sent, and kept nowhere. */
const secret = or<string | undefined>(text, undefined);
const cacheType = oneOf("f16", "q8_0", "q4_0");

const loadOptions = object({
  n_ctx: autoOr(16, 16_777_216),
  n_gpu_layers: autoOr(0, 10_000),
  n_seq_max: autoOr(1, 256),
  n_batch: or(whole(1, 65_536), 512),
  n_threads: autoOr(1, 1_024),
  n_threads_batch: autoOr(1, 1_024),
  cache_type_k: or(cacheType, "f16"),
  cache_type_v: or(cacheType, "f16"),
  flash_attn: or(either(flag, auto), "auto"),
  use_mmap: or(flag, true),
  use_mlock: or(flag, false),
  swa_full: or(flag, true),
  lora: or(list(either<string, Record<string, unknown>>(text, anyRecord)), []),
  chat_template: or(nullable(text), null),
  unload_after: or(nullable(number(0)), null),
  check_memory: or(flag, true),
});
const loadDefaults = loadOptions({}, "options");

const generationOptions = object({
  max_tokens: or(nullable(whole(1)), null),
  temperature: or(number(0, 5), 0.8),
  dynatemp_range: or(number(0, 5), 0),
  dynatemp_exponent: or(number(0, 10), 1),
  top_k: or(whole(0, 1_000_000), 40),
  top_p: or(number(0, 1), 0.95),
  min_p: or(number(0, 1), 0.05),
  typical_p: or(number(0, 1), 1),
  top_n_sigma: or(number(-1, 100), -1),
  xtc_probability: or(number(0, 1), 0),
  xtc_threshold: or(number(0, 1), 0.1),
  dry_multiplier: or(number(0, 100), 0),
  dry_base: or(number(1, 100), 1.75),
  dry_allowed_length: or(whole(0, 1_000_000), 2),
  dry_penalty_last_n: or(whole(-1, 16_777_216), -1),
  dry_sequence_breakers: or(list(text), ["\n", ":", '"', "*"]),
  mirostat: or(whole(0, 2), 0),
  mirostat_tau: or(number(0, 100), 5),
  mirostat_eta: or(number(0, 10), 0.1),
  repeat_last_n: or(whole(-1, 16_777_216), 64),
  repeat_penalty: or(number(0.1, 10), 1),
  frequency_penalty: or(number(-100, 100), 0),
  presence_penalty: or(number(-100, 100), 0),
  logit_bias: or(record(number()), {}),
  seed: or(nullable(whole(0, 2 ** 32 - 1)), null),
  stop: or(list(text), []),
  grammar: or(nullable(text), null),
  json_schema: or(nullable(anyRecord), null),
  top_logprobs: or(nullable(whole(0, 1_000)), null),
  thinking_budget: or(nullable(whole(0)), null),
  context_overflow: or(oneOf("shift", "stop"), "shift"),
  reproducible: or(flag, false),
});
const generationDefaults = generationOptions({}, "options");

/** What the two `generate_` commands share. */
const generate = {
  options: or(generationOptions, generationDefaults),
  model: or(nullable(text), null),
  load: or(nullable(loadOptions), null),
  conversation: or(text, ""),
  response_tokens: or(list(whole()), []),
};

export const COMMANDS = {
  init: { protocol: or(whole(), VERSION), options: or(anyRecord, {}) },
  load_model: { model: text, options: or(loadOptions, loadDefaults) },
  unload_model: {},
  create_context: { options: or(loadOptions, loadDefaults) },
  generate_completion: { prompt: text, suffix: or(nullable(text), null), ...generate },
  generate_chat_completion: {
    messages: list(anyRecord),
    ...generate,
    thinking: or(either(flag, auto), "auto"),
    response_prefix: or(text, ""),
    tools: or(list(anyRecord), []),
    tool_choice: or(oneOf("auto", "required", "none"), "auto"),
  },
  embed: { texts: list(text), model: or(nullable(text), null), load: or(nullable(loadOptions), null) },
  count_tokens: { texts: list(text), model: or(nullable(text), null) },
  predict: {
    prompt: or(text, ""),
    messages: or(list(anyRecord), []),
    thinking: or(either(flag, auto), "auto"),
    tools: or(list(anyRecord), []),
    response_prefix: or(text, ""),
    ...generate,
    top: or(whole(1, 1_000_000), 50),
  },
  judge: {
    text: or(text, ""),
    tokens: or(list(whole()), []),
    prompt: or(text, ""),
    messages: or(list(anyRecord), []),
    thinking: or(either(flag, auto), "auto"),
    tools: or(list(anyRecord), []),
    top: or(whole(0, 1_000), 10),
    model: or(nullable(text), null),
    load: or(nullable(loadOptions), null),
  },
  download_model: {
    model: text,
    revision: or(nullable(text), null),
    directory: or(nullable(text), null),
    token: secret,
  },
  abort: { target: text },
};

/** A text file that goes along with a message. */
const file = object({ name: text, text });

/** What a view sends: commands, and what a widget and its views say to each other. */
/** Twin: `PartName` in `../../widgets/messages/__init__.py`. */
export const partName = oneOf("highlight", "math", "compare", "sweep", "tokens");

export const FROM_VIEW = {
  ...COMMANDS,
  hello: {},
  ping: {},
  part: { name: partName },
  ask: { text, files: or(list(file), []) },
  draft: { text, files: or(nullable(list(file)), null) },
  complete: { source: text },
  earlier: { turn: text },
  preview: { text: or(text, ""), files: or(list(file), []), run: or(flag, false) },
  clear: {},
  regenerate: { turn: text },
  edit: { turn: text, text, fill: or(flag, false) },
  continue: {},
  to_code: { turn: text },
  delete: { turn: text },
  switch: { turn: text },
  undo: {},
  shown: {},
  new_conversation: {},
  open_conversation: { conversation: text },
  rename_conversation: { conversation: text, name: text },
  delete_conversation: { conversation: text },
  choose: { model: text },
  refresh: { folder: or(nullable(text), null) },
  pause: { target: text },
  resume: { target: text },
  search: { text: or(text, "") },
  look: { model: text, token: secret },
  delete_model: { model: text, dry_run: or(flag, false) },
  delete_leftovers: {},
  discard: { target: text },
  show_settings: {},
  configure: { options: anyRecord },
  apply_preset: { name: text },
  save_preset: { name: text },
  delete_preset: { name: text },
  import_preset: { file: text, text },
  export_preset: {},
  export: { format: oneOf("markdown", "json", "notebook") },
  import: { text },
};
