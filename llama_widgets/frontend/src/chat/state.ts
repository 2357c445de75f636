// The conversation as this page knows it: a pure reducer over the kernel's messages and the user's actions.
// Python owns the truth; a snapshot replaces everything, and what does not fit is dropped, never guessed at.

import type { Failure, TextFile, ToView, Turn } from "../messages";

/** An answer that is being made. */
export interface Live {
  id: string;
  requestId: string;
  text: string;
  thoughts: string;
}

/** What stands before the turn `before` is still to be told: `missing` turns, and those that are here may have changed. */
export interface Earlier {
  before: string;
  missing: number;
}

export interface ChatState {
  /** Settled turns and, where an answer is being made, its turn without text: that is in `live`. */
  turns: readonly Turn[];
  earlier: Earlier | null;
  live: Live | null;
  /** Request id of the answer in flight, "" if none. */
  running: string;
  /** Number of the next chunk. */
  seq: number;
  /** Tokens made so far, with the time in ms, of the last few seconds. */
  samples: readonly { at: number; tokens: number }[];
  /** What is in the message box. */
  draft: string;
  /** Text files that go along with it. */
  files: readonly TextFile[];
  /** The question that was sent and that the kernel has not echoed yet. */
  pending: { requestId: string; text: string } | null;
  /** What went along with the last question, should that come back. */
  sent: { requestId: string; files: readonly TextFile[] };
  stopping: boolean;
  /** What waits because the kernel runs a cell, as far as this page can tell. */
  blocked: "" | "send" | "stop";
  /** Why this page's last question was refused. */
  refused: Failure | null;
  /** The kernel was restarted or is gone; what was said stays to be read. */
  gone: boolean;
  /** A chunk is missing: ask for a snapshot. */
  lost: boolean;
  /** A snapshot has arrived. */
  synced: boolean;
  /** What this page has just taken away, which Undo brings back. */
  removed: string;
  /** The last answer that ended, for those who cannot see it. */
  spoken: { id: string; text: string } | null;
}

export type ChatAction =
  | { type: "message"; message: ToView; at: number }
  | { type: "earlier"; of: Earlier; turns: readonly Turn[] }
  | { type: "typed"; text: string }
  | { type: "attached"; files: readonly TextFile[] }
  | { type: "refused"; failure: Failure }
  | { type: "asked"; requestId: string; text: string }
  | { type: "stopped" }
  | { type: "removed"; what: string }
  | { type: "blocked"; what: "send" | "stop"; requestId: string }
  | { type: "unblocked" }
  | { type: "lost"; requestId: string }
  | { type: "gone" };

export const INITIAL: ChatState = {
  turns: [],
  earlier: null,
  live: null,
  running: "",
  seq: 0,
  samples: [],
  draft: "",
  files: [],
  pending: null,
  sent: { requestId: "", files: [] },
  stopping: false,
  blocked: "",
  refused: null,
  gone: false,
  lost: false,
  synced: false,
  removed: "",
  spoken: null,
};

const LOST: Failure = {
  code: "lost",
  message: "The message did not reach the kernel: the connection was interrupted.",
  hint: "Send it again.",
};

/** Tokens per second are those of the last three seconds. */
const WINDOW_MS = 3000;

export function reduce(state: ChatState, action: ChatAction): ChatState {
  switch (action.type) {
    case "message":
      return receive(state, action.message, action.at);
    case "earlier":
      return takeEarlier(state, action.of, action.turns);
    case "typed":
      return { ...state, draft: action.text };
    case "attached":
      return { ...state, files: action.files, refused: null };
    case "refused":
      return { ...state, refused: action.failure };
    case "asked":
      return {
        ...state,
        pending: { requestId: action.requestId, text: action.text },
        sent: { requestId: action.requestId, files: state.files },
        refused: null,
        blocked: "",
        removed: "",
      };
    case "stopped":
      return isBusy(state) ? { ...state, stopping: true } : state;
    case "removed":
      return { ...state, removed: action.what };
    case "blocked": {
      const still = action.what === "send" ? state.pending?.requestId === action.requestId : state.stopping;
      return still ? { ...state, blocked: action.what } : state;
    }
    case "unblocked":
      return state.blocked ? { ...state, blocked: "" } : state;
    case "lost":
      return state.pending?.requestId === action.requestId
        ? { ...state, pending: null, stopping: false, blocked: "", refused: LOST }
        : state;
    case "gone":
      return { ...end(fold(state, "", {})), pending: null, blocked: "", gone: true };
  }
}

export function isBusy(state: ChatState): boolean {
  return state.running !== "" || state.pending !== null;
}

/** Tokens per second of the last few seconds; `null` before that can be said. */
export function rate({ samples }: Pick<ChatState, "samples">): number | null {
  const first = samples[0];
  const last = samples.at(-1);
  if (!first || !last || last.at - first.at < 200) return null;
  return ((last.tokens - first.tokens) * 1000) / (last.at - first.at);
}

function receive(state: ChatState, message: ToView, at: number): ChatState {
  switch (message.type) {
    case "snapshot":
      return takeSnapshot(state, message);
    case "turn":
      return takeTurn(state, message.turn, message.request_id);
    case "branched":
      return takeBranch(state, message);
    case "completion_chunk":
      return takeChunk(state, message, at);
    case "completion_done": {
      if (message.request_id !== state.running) return state;
      const { stop_reason, usage, timings } = message;
      return end(fold(state, message.text, { stop_reason, usage, timings }));
    }
    case "error":
      return takeError(state, message);
    case "rejected":
      return takeRejected(state, message);
    default:
      return state;
  }
}

type Message<T extends ToView["type"]> = Extract<ToView, { type: T }>;

function takeSnapshot(state: ChatState, { turns: told, running, seq, earlier }: Message<"snapshot">): ChatState {
  const last = told.at(-1);
  const before = (earlier > 0 && told[0]?.id) || "";
  // What was drawn stays on the page meanwhile.
  const kept = place(state, before) === earlier ? state.turns.slice(0, earlier) : [];
  const turns = [...kept, ...told];
  const live = running && last?.role === "assistant" ? begin(last, running) : null;
  const continues = running !== "" && running === state.running;
  const stopping = state.stopping && (continues || state.pending !== null);
  return {
    ...state,
    turns,
    earlier: before ? { before, missing: earlier - kept.length } : null,
    live,
    running,
    seq,
    samples: continues ? state.samples : [],
    stopping,
    blocked: state.blocked === "stop" && !stopping ? "" : state.blocked,
    lost: false,
    synced: true,
    gone: false,
    ...answered(state, (id) => turns.length > 0 && id === running),
  };
}

function takeEarlier(state: ChatState, of: Earlier, turns: readonly Turn[]): ChatState {
  if (state.earlier !== of) return state; // there is a newer snapshot
  return { ...state, turns: [...turns, ...state.turns.slice(place(state, of.before))], earlier: null };
}

function place({ turns }: ChatState, turn: string): number {
  return turns.findIndex(({ id }) => id === turn);
}

function takeTurn(state: ChatState, told: Turn, requestId: string): ChatState {
  const turn = whole(state, told);
  if (!turn) return { ...state, lost: true };
  const next = {
    ...state,
    turns: put(state.turns, turn),
    ...answered(state, (id) => id === requestId),
  };
  if (turn.role !== "assistant") return next;
  if (turn.stop_reason === undefined) {
    // After tools were called, the same answer goes on in another turn, and its chunks are counted on.
    const seq = requestId === state.running ? state.seq : 0;
    return { ...next, live: begin(turn, requestId), running: requestId, seq, samples: [], refused: null };
  }
  if (turn.stop_reason === "tool_calls" && requestId === state.running) return { ...next, live: null };
  const spoken = turn.id === state.live?.id || turn.id === state.spoken?.id;
  const settled = { ...next, spoken: spoken ? { id: turn.id, text: turn.content } : state.spoken };
  return turn.id === state.live?.id || requestId === state.running ? end({ ...settled, live: null }) : settled;
}

/** The turn with its text, of which a settled one only says how long it is; `null` if that is not what has arrived. */
function whole({ live }: ChatState, { streamed, ...turn }: Turn): Turn | null {
  if (!streamed) return turn;
  if (live?.id !== turn.id || live.text.length !== streamed[0] || live.thoughts.length !== streamed[1]) return null;
  return { ...turn, content: live.text, ...(live.thoughts && { thoughts: live.thoughts }) };
}

function takeBranch(state: ChatState, { after, turns }: Message<"branched">): ChatState {
  const kept = after ? place(state, after) + 1 : 0;
  const sure = state.earlier ? place(state, state.earlier.before) : 0;
  if (after && kept <= sure) return { ...state, lost: true };
  const next = [...state.turns.slice(0, kept), ...turns];
  const live = next.some(({ id }) => id === state.live?.id) ? state.live : null;
  return { ...state, turns: next, earlier: after ? state.earlier : null, live };
}

function takeChunk(state: ChatState, chunk: Message<"completion_chunk">, at: number): ChatState {
  const { live } = state;
  if (!live || chunk.request_id !== state.running || chunk.seq < state.seq || state.lost) return state;
  if (chunk.seq > state.seq) return { ...state, lost: true };
  const thought = chunk.segment === "thought";
  const samples = state.samples.filter((sample) => sample.at > at - WINDOW_MS);
  return {
    ...state,
    seq: chunk.seq + 1,
    live: {
      ...live,
      text: thought ? live.text : live.text + chunk.text,
      thoughts: thought ? live.thoughts + chunk.text : live.thoughts,
    },
    samples: [...samples, { at, tokens: chunk.tokens }],
  };
}

function takeError(state: ChatState, { request_id, code, message, hint }: Message<"error">): ChatState {
  if (request_id === state.running && request_id) return end(fold(state, "", { stop_reason: "error" }));
  // The question never became a turn: it stays in the box.
  if (request_id !== state.pending?.requestId) return state;
  return { ...state, pending: null, stopping: false, blocked: "", refused: { code, message, hint } };
}

/** The question goes back into the box, unless something else stands there; the turns are as they were already. */
function takeRejected(state: ChatState, { request_id, text }: Message<"rejected">): ChatState {
  const pending = state.pending?.requestId === request_id ? null : state.pending;
  const next = { ...state, pending, draft: state.draft === "" ? text : state.draft };
  if (request_id === state.sent.requestId && state.files.length === 0) next.files = state.sent.files;
  return request_id === state.running ? end({ ...next, live: null }) : next;
}

function begin(turn: Turn, requestId: string): Live {
  return { id: turn.id, requestId, text: turn.content, thoughts: turn.thoughts ?? "" };
}

/** The echo of a question empties the box, unless something else was typed meanwhile. */
function answered(state: ChatState, echoes: (requestId: string) => boolean): Partial<ChatState> {
  if (!state.pending || !echoes(state.pending.requestId)) return {};
  return {
    pending: null,
    draft: state.draft === state.pending.text ? "" : state.draft,
    files: state.draft === state.pending.text && state.files === state.sent.files ? [] : state.files,
    blocked: state.blocked === "send" ? "" : state.blocked,
  };
}

/** Puts what was streamed into its turn; the settled turn that follows replaces it. */
function fold(state: ChatState, text: string, how: Partial<Turn>): ChatState {
  const { live } = state;
  if (!live) return state;
  const content = text || live.text;
  const turn: Turn = { id: live.id, role: "assistant", content, ...how };
  if (live.thoughts) turn.thoughts = live.thoughts;
  return { ...state, turns: put(state.turns, turn), live: null, spoken: { id: live.id, text: content } };
}

function end(state: ChatState): ChatState {
  return {
    ...state,
    running: "",
    seq: 0,
    samples: [],
    stopping: false,
    blocked: state.blocked === "stop" ? "" : state.blocked,
    lost: false,
  };
}

function put(turns: readonly Turn[], turn: Turn): readonly Turn[] {
  const at = turns.findLastIndex(({ id }) => id === turn.id);
  return at < 0 ? [...turns, turn] : turns.with(at, turn);
}
