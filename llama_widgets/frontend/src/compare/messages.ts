// What a comparison and its kernel say to each other, beside what all widgets do. Twin: ../../../widgets/messages/compare.py.

import type { FROM_VIEW } from "../commands";
import { TO_VIEW } from "../messages";
import { EVENTS, timings, usage } from "../protocol";
import {
  either,
  flag,
  type Incoming,
  list,
  nullable,
  number,
  type Outgoing,
  oneOf,
  open,
  or,
  text,
  whole,
} from "../wire";

const state = oneOf("waiting", "loading", "prefill", "generating", "done", "failed");
const vote = either(whole(0), oneOf("tie"));
export type Vote = ReturnType<typeof vote>;

const answer = open({
  text,
  thoughts: text,
  stop_reason: text,
  state,
  done: whole(0),
  total: nullable(whole(0)),
  usage: nullable(usage),
  timings: nullable(timings),
  error: text,
});
export type Answer = ReturnType<typeof answer>;

/** Answers stand as they are to be shown; `names` is empty while nobody may know them. */
const round = open({ message: text, names: list(text), vote: nullable(vote), blind: flag, answers: list(answer) });
export type Round = ReturnType<typeof round>;

const standing = open({ side: text, wins: whole(0), ties: whole(0), losses: whole(0), rate: nullable(number(0, 1)) });
export type Standing = ReturnType<typeof standing>;

const grown = open({ place: whole(0), text, thoughts: text, state, done: whole(0), total: nullable(whole(0)) });

export const OWN_FROM_VIEW = {
  judge: { round: whole(0), vote },
  hide_names: { blind: flag },
};

export const OWN_TO_VIEW = {
  compared: {
    rounds: or(list(round), []),
    tally: or(list(standing), []),
    running: or(text, ""),
    blind: or(flag, false),
    seq: or(whole(0), 0),
  },
  round: { number: whole(0), round, tally: list(standing), running: text, seq: whole(0) },
  grown: { seq: whole(0), answers: list(grown) },
  withdrawn: { number: whole(0), text },
  blind: { blind: flag },
};

const { error, info } = EVENTS;
const { draft, completions, previewed } = TO_VIEW;
/** Everything that can arrive in a view. */
export const TABLE = { ...OWN_TO_VIEW, error, info, draft, completions, previewed };

export type FromCompare = Outgoing<typeof FROM_VIEW> | Outgoing<typeof OWN_FROM_VIEW>;
export type ToCompare = Incoming<typeof TABLE>;
