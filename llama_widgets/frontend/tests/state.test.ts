import { describe, expect, it } from "vitest";
import { type ChatAction, type ChatState, INITIAL, isBusy, rate, reduce } from "../src/chat/state";
import { INCOMING, type ToView, type Turn } from "../src/messages";
import { usage as readUsage } from "../src/protocol";
import { decode } from "../src/wire";

let clock = 0;
function tick(): number {
  clock += 40;
  return clock;
}
const message = (data: object, at = tick()): ChatAction => ({
  type: "message",
  message: decode(data, INCOMING) as ToView,
  at,
});
const user = (id: string, content: string): Turn => ({ id, role: "user", content });
const answer = (id: string, content: string, more: Partial<Turn> = {}): Turn => ({
  id,
  role: "assistant",
  content,
  ...more,
});
const turn = (request_id: string, turn: Turn) => message({ type: "turn", request_id, turn });
const chunk = (request_id: string, seq: number, text: string, tokens = seq + 1) =>
  message({ type: "completion_chunk", request_id, seq, text, tokens });
const done = (request_id: string, stop_reason = "eos") =>
  message({ type: "completion_done", request_id, text: "", stop_reason });
const run = (state: ChatState, ...actions: ChatAction[]) => actions.reduce(reduce, state);

/** Question t1 and its answer t2, request r1, that is about to begin. */
const asked = () => run(INITIAL, turn("r1", user("t1", "Why?")), turn("r1", answer("t2", "")));
const shown = (state: ChatState) =>
  state.turns.map(({ id, content }) => (id === state.live?.id ? state.live.text : content));

describe("an answer", () => {
  it("grows with its chunks and settles with its turn", () => {
    const growing = run(asked(), chunk("r1", 0, "Be"), chunk("r1", 1, "cause"));
    expect(growing.live?.text).toBe("Because");
    expect(isBusy(growing)).toBe(true);
    const usage = readUsage({ prompt_tokens: 5, cached_tokens: 0, completion_tokens: 2 }, "usage");
    const settled = run(growing, done("r1"), turn("r1", answer("t2", "Because.", { stop_reason: "eos", usage })));
    expect(shown(settled)).toEqual(["Why?", "Because."]);
    expect(settled.turns[1]?.usage).toEqual(usage);
    expect(isBusy(settled)).toBe(false);
    expect(settled.spoken).toEqual({ id: "t2", text: "Because." });
  });

  it("ends just as well when its turn comes before its end", () => {
    const settled = run(asked(), chunk("r1", 0, "Hm"), turn("r1", answer("t2", "Hm.", { stop_reason: "eos" })));
    expect(settled.running).toBe("");
    expect(shown(run(settled, done("r1")))).toEqual(["Why?", "Hm."]);
  });

  it("settles with the text that has arrived, or asks for it", () => {
    const growing = run(asked(), chunk("r1", 0, "Be\u{1F600}"));
    const brief = (streamed: number[]) => turn("r1", answer("t2", "", { stop_reason: "eos", streamed }));
    const settled = run(growing, brief([4, 0]));
    expect(shown(settled)).toEqual(["Why?", "Be\u{1F600}"]);
    expect(settled).toMatchObject({ running: "", live: null, spoken: { id: "t2", text: "Be\u{1F600}" } });
    expect(run(growing, brief([9, 0]))).toMatchObject({ lost: true, running: "r1" });
    expect(run(INITIAL, brief([4, 0])).lost).toBe(true);
  });

  it("leaves the turns untouched while it grows", () => {
    const state = asked();
    expect(run(state, chunk("r1", 0, "Be")).turns).toBe(state.turns);
  });

  it("keeps what was said when an error breaks it off", () => {
    const error = message({ type: "error", request_id: "r1", code: "engine", message: "llama_decode failed." });
    const state = run(asked(), chunk("r1", 0, "Half"), error);
    expect(shown(state)).toEqual(["Why?", "Half"]);
    expect(state.turns[1]?.stop_reason).toBe("error");
    expect(isBusy(state)).toBe(false);
  });

  it("keeps thoughts apart from text", () => {
    const thought = message({ type: "completion_chunk", request_id: "r1", seq: 0, text: "Hm", segment: "thought" });
    const state = run(asked(), thought, chunk("r1", 1, "Yes"));
    expect(state.live).toMatchObject({ text: "Yes", thoughts: "Hm" });
  });

  it("that comes from Python or another page shows up without this page having asked", () => {
    const state = run(
      { ...INITIAL, draft: "half a thou" },
      turn("py", user("t1", "Why?")),
      turn("py", answer("t2", "")),
    );
    expect(state.running).toBe("py");
    expect(state.draft).toBe("half a thou");
  });
});

describe("an answer that calls tools", () => {
  const call = { id: "c1", name: "add", arguments: { a: 1 } };
  const called = () =>
    run(
      asked(),
      chunk("r1", 0, "Let me"),
      turn("r1", answer("t2", "Let me", { stop_reason: "tool_calls", tool_calls: [call] })),
      turn("r1", { id: "t3", role: "tool", content: "", name: "add", state: "running" }),
    );

  it("goes on running while a tool does", () => {
    expect(called()).toMatchObject({ running: "r1", live: null, seq: 1, spoken: null });
    expect(isBusy(called())).toBe(true);
  });

  it("goes on in another turn, and its chunks are counted on", () => {
    const result = turn("r1", { id: "t3", role: "tool", content: "2", name: "add", state: "done" });
    const state = run(called(), result, turn("r1", answer("t4", "")), chunk("r1", 1, "It is 2."));
    expect(shown(state)).toEqual(["Why?", "Let me", "2", "It is 2."]);
    const settled = run(state, turn("r1", answer("t4", "It is 2.", { stop_reason: "eos" })), done("r1"));
    expect(settled).toMatchObject({ running: "", live: null, spoken: { id: "t4", text: "It is 2." } });
  });

  it("ends when it is stopped meanwhile", () => {
    const stopped = run(called(), { type: "stopped" }, done("r1", "abort"));
    expect(stopped).toMatchObject({ running: "", stopping: false });
    expect(shown(stopped)).toEqual(["Why?", "Let me", ""]);
  });

  it("is the same in a snapshot", () => {
    const { turns } = called();
    const state = run(INITIAL, message({ type: "snapshot", request_id: "h", turns, running: "r1", seq: 1 }));
    expect(state).toMatchObject({ running: "r1", live: null });
    expect(shown(run(state, turn("r1", answer("t4", "")), chunk("r1", 1, "Yes"))).at(-1)).toBe("Yes");
  });
});

describe("a branch", () => {
  const branched = (after: string, ...turns: Turn[]) => message({ type: "branched", request_id: "", after, turns });
  const settled = () => run(asked(), chunk("r1", 0, "One"), turn("r1", answer("t2", "One", { stop_reason: "eos" })));

  it("takes the place of what followed", () => {
    const other = answer("t9", "Other", { stop_reason: "eos", siblings: ["t2", "t9"] });
    expect(shown(run(settled(), branched("t1", other)))).toEqual(["Why?", "Other"]);
    expect(shown(run(settled(), branched("", user("t8", "New"), other)))).toEqual(["New", "Other"]);
    expect(shown(run(settled(), branched("")))).toEqual([]);
  });

  it("of an answer that is gone on with begins with what was cut", () => {
    const state = run(
      settled(),
      branched("t1"),
      turn("r2", answer("t3", "One", { thoughts: "Hm", siblings: ["t2", "t3"] })),
      chunk("r2", 0, " two"),
    );
    expect(shown(state)).toEqual(["Why?", "One two"]);
    expect(state.live?.thoughts).toBe("Hm");
  });

  it("after an unknown turn asks for the whole", () => {
    const state = run(settled(), branched("t7", user("t8", "New")));
    expect(state.lost).toBe(true);
    expect(shown(state)).toEqual(["Why?", "One"]);
  });
});

describe("chunks that do not fit", () => {
  it("of a request that is not running are dropped", () => {
    const state = asked();
    expect(run(state, chunk("r0", 0, "old"))).toBe(state);
  });

  it("that were seen already are dropped", () => {
    const state = run(asked(), chunk("r1", 0, "Be"));
    expect(run(state, chunk("r1", 0, "Be"))).toBe(state);
  });

  it("after a gap are dropped until a snapshot has everything", () => {
    const lost = run(asked(), chunk("r1", 0, "a"), chunk("r1", 2, "c"));
    expect(lost.lost).toBe(true);
    expect(lost.live?.text).toBe("a");
    expect(run(lost, chunk("r1", 3, "d"))).toBe(lost);
    const turns = [user("t1", "Why?"), answer("t2", "abcd")];
    const found = run(lost, message({ type: "snapshot", request_id: "h", turns, running: "r1", seq: 4 }));
    expect(found.lost).toBe(false);
    expect(run(found, chunk("r1", 4, "e")).live?.text).toBe("abcde");
  });
});

describe("a snapshot", () => {
  it("replaces everything and lets a running answer go on", () => {
    const turns = [user("t1", "Why?"), answer("t2", "Be")];
    const state = run(INITIAL, message({ type: "snapshot", request_id: "h", turns, running: "r1", seq: 7 }));
    expect(run(state, chunk("r1", 7, "cause")).live?.text).toBe("Because");
    expect(run(state, chunk("r1", 6, "seen"))).toBe(state);
    const cleared = run(state, message({ type: "snapshot", request_id: "" }));
    expect(cleared).toMatchObject({ turns: [], live: null, running: "" });
  });

  it("ends a stop whose end was missed", () => {
    const stopping = run(asked(), { type: "stopped" }, { type: "blocked", what: "stop", requestId: "r1" });
    expect(stopping).toMatchObject({ stopping: true, blocked: "stop" });
    const turns = [user("t1", "Why?"), answer("t2", "Be", { stop_reason: "abort" })];
    const state = run(stopping, message({ type: "snapshot", request_id: "h", turns }));
    expect(state).toMatchObject({ stopping: false, blocked: "" });
  });
});

describe("the question", () => {
  const sent = () => run({ ...INITIAL, draft: "Why?" }, { type: "asked", requestId: "r1", text: "Why?" });

  it("stays in the box until the kernel echoes it", () => {
    const waiting = run(sent(), { type: "blocked", what: "send", requestId: "r1" });
    expect(waiting).toMatchObject({ draft: "Why?", blocked: "send" });
    expect(run(waiting, turn("r1", user("t1", "Why?")))).toMatchObject({ draft: "", pending: null, blocked: "" });
  });

  it("does not take away what was typed meanwhile", () => {
    const state = run(sent(), { type: "typed", text: "Why? And" }, turn("r1", user("t1", "Why?")));
    expect(state.draft).toBe("Why? And");
  });

  it("goes back into the box when it could not be answered", () => {
    const error = message({ type: "error", request_id: "r1", code: "context_overflow", message: "Too long." });
    const back = message({ type: "branched", request_id: "r1", after: "", turns: [] });
    const rejected = message({ type: "rejected", request_id: "r1", text: "Why?", turn: "t1" });
    for (const ends of [
      [back, rejected, error],
      [error, back, rejected],
    ]) {
      const state = run(sent(), turn("r1", user("t1", "Why?")), turn("r1", answer("t2", "")), ...ends);
      expect(state).toMatchObject({ turns: [], live: null, running: "", draft: "Why?" });
    }
  });

  it("does not push aside what is in the box by then", () => {
    const rejected = message({ type: "rejected", request_id: "r1", text: "Why?", turn: "t1" });
    const back = message({ type: "branched", request_id: "r1", after: "", turns: [] });
    const state = run(asked(), { type: "typed", text: "Other" }, back, rejected);
    expect(state).toMatchObject({ draft: "Other", turns: [] });
  });

  it("that was refused outright stays, with the reason", () => {
    const error = message({ type: "error", request_id: "r1", code: "busy", message: "Busy.", hint: "Wait." });
    const state = run(sent(), error);
    expect(state).toMatchObject({ draft: "Why?", pending: null, refused: { message: "Busy.", hint: "Wait." } });
  });
});

describe("stop, then send", () => {
  it("drops the late chunks and the late end of the first answer", () => {
    const stopped = run(
      asked(),
      chunk("r1", 0, "Be"),
      { type: "stopped" },
      turn("r1", answer("t2", "Be", { stop_reason: "abort" })),
    );
    expect(stopped).toMatchObject({ stopping: false, running: "" });
    const second = run(
      stopped,
      { type: "asked", requestId: "r2", text: "Again" },
      turn("r2", user("t3", "Again")),
      turn("r2", answer("t4", "")),
      chunk("r2", 0, "Now"),
    );
    const late = run(second, chunk("r1", 1, "cause"), done("r1", "abort"));
    expect(late).toBe(second);
    expect(shown(late)).toEqual(["Why?", "Be", "Again", "Now"]);
  });

  it("does nothing when nothing runs", () => {
    expect(run(INITIAL, { type: "stopped" })).toBe(INITIAL);
  });

  it("a late notice does not outlive the stop", () => {
    const state = run(asked(), { type: "stopped" }, done("r1", "abort"));
    expect(run(state, { type: "blocked", what: "stop", requestId: "r1" })).toBe(state);
  });
});

it("tokens per second are those of the last three seconds", () => {
  let state = asked();
  for (let seq = 0; seq < 100; seq += 1) {
    const tokens = seq < 50 ? 0 : (seq - 50) * 4;
    const data = { type: "completion_chunk", request_id: "r1", seq, text: "x", tokens };
    state = reduce(state, message(data, seq * 100));
  }
  expect(rate(state)).toBeCloseTo(40);
});

it("no speed is told from a single moment", () => {
  expect(rate(run(asked(), chunk("r1", 0, "x")))).toBeNull();
});
