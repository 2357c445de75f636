// What a TokenView and its views say to each other. Twin: ../../../widgets/messages/tokens.py; both are held to
// tests/golden/tokens.json.

import { EVENTS } from "../protocol";
import { flag, type Incoming, list, nullable, number, object, oneOf, text, whole } from "../wire";

/** Twin: `Tab` in Python. */
export const TABS = ["probabilities", "next", "tokenizer", "template", "context"] as const;
export type Tab = (typeof TABS)[number];

const candidate = object({ token: whole(0), text, logprob: number() });
/** A token of an answer. `rank` is 0 where it is not known. The first of all follows nothing. */
const token = object({ token: whole(0), text, logprob: nullable(number()), rank: whole(0), top: list(candidate) });
/** A token of a text; those that are `special` no text can become. */
const piece = object({ id: whole(0), text, special: flag });
const taken = object({ token: whole(0), text });
const model = object({ model: text, name: text });
const side = object({ model: text, pieces: list(piece), error: text });
/** A stretch of a template's text: of a message, or between messages where `role` is empty. */
const run = object({ role: text, text, special: flag });
const stretch = object({
  kind: oneOf("system", "dropped", "kept", "new", "template"),
  role: text,
  text,
  tokens: whole(0),
});

export type Token = ReturnType<typeof token>;
export type Piece = ReturnType<typeof piece>;

export const TO_VIEW = {
  /** An answer: the tokens up to `position` are those of the answer `parent`, `tokens` are what follows. */
  line: {
    id: text,
    title: text,
    parent: text,
    position: whole(0),
    tokens: list(token),
    n_vocab: whole(0),
    growing: flag,
  },
  /** More tokens of an answer that is being made; `at` is how many of its own it had before. */
  grown: { line: text, at: whole(0), tokens: list(token) },
  /** What may come next after `prompt` and what was taken: the likeliest, and the others as `tail`: [logprob, count]. */
  steps: {
    prompt: text,
    chat: flag,
    taken: list(taken),
    tokens: list(whole(0)),
    texts: list(text),
    logprobs: list(number()),
    tail: list(list(number())),
    temperature: number(0),
    top_k: whole(0),
    top_p: number(0, 1),
    min_p: number(0, 1),
  },
  tokenized: { text, models: list(model), sides: list(side) },
  template: { runs: list(run), tokens: whole(0) },
  context: { size: whole(0), stretches: list(stretch) },
  error: EVENTS.error,
  info: EVENTS.info,
};

export type ToView = Incoming<typeof TO_VIEW>;
export type Of<T extends ToView["type"]> = Extract<ToView, { type: T }>;

/** Written by the kernel, read by the browser. */
export type TokenTraits = {
  tab: Tab;
  busy: string[];
  asked: string;
  error: { code: string; message: string; hint: string } | null;
};
