// The rounds as this page knows them: a pure reducer over the kernel's messages.

import type { Answer, Round, Standing, ToCompare } from "./messages";

export interface CompareState {
  rounds: readonly Round[];
  tally: readonly Standing[];
  /** Request id of the round that is being answered, "" if none. */
  running: string;
  blind: boolean;
  /** Number of the next piece. */
  seq: number;
  synced: boolean;
  /** A piece is missing: ask for all of it. */
  lost: boolean;
}

export const NOTHING: CompareState = {
  rounds: [],
  tally: [],
  running: "",
  blind: false,
  seq: 0,
  synced: false,
  lost: false,
};

export type CompareAction = ToCompare | { type: "gone" };

export function reduce(state: CompareState, message: CompareAction): CompareState {
  switch (message.type) {
    case "compared": {
      const { rounds, tally, running, blind, seq } = message;
      return { rounds, tally, running, blind, seq, synced: true, lost: false };
    }
    case "round": {
      const { number, round, tally, running, seq } = message;
      if (number > state.rounds.length) return { ...state, lost: true };
      const rounds = [...state.rounds];
      rounds[number] = round;
      return { ...state, rounds, tally, running, seq };
    }
    case "grown":
      return grow(state, message);
    case "withdrawn":
      return { ...state, rounds: state.rounds.slice(0, message.number), running: "" };
    case "gone":
      return { ...state, rounds: state.rounds.map(stopped) };
    case "blind":
      return { ...state, blind: message.blind };
    default:
      return state;
  }
}

function grow(state: CompareState, { seq, answers: pieces }: Extract<ToCompare, { type: "grown" }>): CompareState {
  const last = state.rounds.at(-1);
  if (!last || state.lost || !state.synced || seq < state.seq) return state;
  if (seq > state.seq) return { ...state, lost: true };
  const answers = [...last.answers];
  for (const { place, text, thoughts, ...how } of pieces) {
    const before = answers[place];
    if (before) answers[place] = { ...before, ...how, text: before.text + text, thoughts: before.thoughts + thoughts };
  }
  return { ...state, seq: seq + 1, rounds: [...state.rounds.slice(0, -1), { ...last, answers }] };
}

/** No more comes of it: what was under way is not to look as if it went on. */
function stopped(round: Round): Round {
  if (hasEnded(round)) return round;
  const end = (answer: Answer): Answer =>
    isOver(answer) ? answer : { ...answer, state: "done", stop_reason: "abort" };
  return { ...round, answers: round.answers.map(end) };
}

function isOver({ state }: Answer): boolean {
  return state === "done" || state === "failed";
}

export function hasEnded({ answers }: Round): boolean {
  return answers.every(isOver);
}

/** Whether the reader can say now which answer is better. */
export function mayVote(round: Round | undefined): boolean {
  return round !== undefined && hasEnded(round) && !(round.blind && round.vote !== null);
}
