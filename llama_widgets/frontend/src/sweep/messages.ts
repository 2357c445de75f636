// What a grid and its kernel say to each other. Twin: ../../../widgets/messages/sweep.py.

import {
  anything,
  type Incoming,
  list,
  nullable,
  number,
  type Outgoing,
  object,
  oneOf,
  open,
  type Read,
  record,
  text,
  WireError,
  whole,
} from "../wire";

const colour = oneOf("score", "mean_logprob", "tokens", "seconds", "stop_reason", "none");
export type Colour = ReturnType<typeof colour>;

export const FROM_VIEW = {
  hello: {},
  abort: { target: text },
  arrange: { rows: text, columns: text, colour },
  open_run: { index: whole(0) },
  resume_sweep: {},
  give_table: {},
};

const figures = list(nullable(number()));
const columns = object({
  index: list(whole(0)),
  state: list(text),
  text: list(text),
  stop_reason: list(text),
  tokens: figures,
  seconds: figures,
  mean_logprob: figures,
  score: figures,
});
const runs: Read<ReturnType<typeof columns>> = (value, name) => {
  const read = columns(value, name);
  if (new Set(Object.values(read).map(({ length }) => length)).size > 1)
    throw new WireError(`the columns of ${name} must be of one length`);
  return read;
};
export type Columns = ReturnType<typeof runs>;

const dimension = open({
  name: text,
  kind: oneOf("prompt", "variable", "model", "parameter", "seed"),
  values: list(text),
});
export type Dimension = ReturnType<typeof dimension>;

const standing = object({
  state: oneOf("running", "stopped", "done"),
  done: whole(0),
  failed: whole(0),
  total: whole(0),
  eta_s: nullable(number()),
  rate: nullable(number()),
  notices: list(text),
});
export type Standing = ReturnType<typeof standing>;

const maybe = nullable(number());
const wholeRun = open({
  state: text,
  text,
  thoughts: text,
  error: text,
  stop_reason: text,
  parse_error: text,
  score_error: text,
  prompt_tokens: maybe,
  cached_tokens: maybe,
  completion_tokens: maybe,
  ttft_s: maybe,
  decode_tps: maybe,
  seconds: maybe,
  mean_logprob: maybe,
  score: maybe,
  parsed: nullable(text),
  code: text,
  settings: list(list(text)),
  messages: list(record(text)),
  tokens: list(list(anything)),
});
export type WholeRun = ReturnType<typeof wholeRun>;

export const TO_VIEW = {
  sweep_shown: { dimensions: list(dimension), codes: list(list(whole(-1))), runs, standing },
  sweep_changed: { runs, standing },
  run: { index: whole(0), run: wholeRun },
  sweep_table: { text },
};

export type FromView = Outgoing<typeof FROM_VIEW>;
export type ToView = Incoming<typeof TO_VIEW>;

/** What the kernel writes of a grid. */
export interface SweepTraits {
  rows: string;
  columns: string;
  colour: Colour;
  error: { code: string; message: string; hint: string } | null;
}
