// What a TokenView and its views say to each other. Twin: ../../../widgets/messages/tokens.py; both are held to
// tests/golden/tokens.json.

import { EVENTS } from "../protocol";
import { flag, type Incoming, list, number, object, oneOf, type Read, text, WireError, whole } from "../wire";

/** Twin: `Tab` in Python. */
export const TABS = ["probabilities", "next", "tokenizer", "template", "context"] as const;
export type Tab = (typeof TABS)[number];

export interface Candidate {
  token: number;
  text: string;
  logprob: number;
}
/** A token of an answer. `rank` is 0 where it is not known. The first of all follows nothing. */
export interface Token extends Omit<Candidate, "logprob"> {
  logprob: number | null;
  rank: number;
  top: Candidate[];
}

/** There are tens of thousands of these: to read them field by field would take longer than to draw them. */
const tokens: Read<Token[]> = (value, name) => {
  if (Array.isArray(value) && value.every(isToken)) return value;
  throw new WireError(`${name} must be a list of tokens`);
};
const isToken = (value: Partial<Token> | null) =>
  isCandidate(value, true) &&
  Number.isInteger(value?.rank) &&
  value?.top?.every?.((each) => isCandidate(each)) === true;
const isCandidate = (value: Partial<Token> | null, orNothing = false) =>
  Number.isInteger(value?.token) &&
  typeof value?.text === "string" &&
  (Number.isFinite(value.logprob) || (orNothing && value.logprob === null));

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

export type Piece = ReturnType<typeof piece>;

export const TO_VIEW = {
  /** An answer: the tokens up to `position` are those of the answer `parent`, `tokens` are what follows. */
  line: {
    id: text,
    title: text,
    parent: text,
    position: whole(0),
    tokens: tokens,
    n_vocab: whole(0),
    growing: flag,
  },
  /** More tokens of an answer that is being made; `at` is how many of its own it had before. */
  grown: { line: text, at: whole(0), tokens: tokens },
  /** An answer came to nothing. */
  line_gone: { line: text },
  /** What may come next after `prompt` and what was taken: the likeliest, and the others as `tail`: [logprob, count]. */
  steps: {
    prompt: text,
    chat: flag,
    ended: flag,
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
