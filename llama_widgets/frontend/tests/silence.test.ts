import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { ChatSession } from "../src/chat/session";
import { Silence } from "../src/chat/silence";
import { MockModel } from "./mocks";

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

const ending = new AbortController();
const hellos = (model: MockModel) => model.sent.filter(({ type }) => type === "hello");

it("asks less and less often while nothing is heard, and not at all when nothing is awaited", () => {
  const ask = vi.fn();
  let awaited = true;
  const silence = new Silence(() => awaited, ask, ending.signal);
  silence.broken();
  vi.advanceTimersByTime(1500 + 3000 + 6000);
  expect(ask).toHaveBeenCalledTimes(3);
  silence.broken();
  vi.advanceTimersByTime(1500);
  expect(ask).toHaveBeenCalledTimes(4);
  awaited = false;
  vi.advanceTimersByTime(100_000);
  expect(ask).toHaveBeenCalledTimes(4);
});

it("shows an answer to its end where only what is sent while a message is handled arrives", async () => {
  const model = new MockModel({ running: "" });
  const session = new ChatSession(model.as as never, ending.signal);
  let said = "";
  let running = "";
  // The kernel of a host like Colab: it answers what it is asked, and all else it says is dropped.
  model.send = (message) => {
    model.sent.push(message);
    const question = { id: "q", role: "user", content: "Why?" };
    if (message.type === "ask") running = String(message.request_id);
    if (message.type !== "hello" && message.type !== "ask") return;
    const how = running ? {} : { stop_reason: "eos" };
    const turns = [question, { id: "a", role: "assistant", content: said, ...how }];
    model.receive({ type: "snapshot", request_id: message.request_id, turns, running, seq: 0, tokens: 0 });
  };
  session.store.dispatch({ type: "typed", text: "Why?" });
  void session.ask();
  for (const words of ["Because", "Because of", "Because of light."]) {
    said = words;
    await vi.advanceTimersByTimeAsync(4000);
    expect(session.store.state.live?.text).toBe(words);
  }
  running = "";
  await vi.advanceTimersByTimeAsync(10_000);
  expect(session.store.state.running).toBe("");
  expect(session.store.state.turns.at(-1)?.content).toBe("Because of light.");
  const asked = hellos(model).length;
  await vi.advanceTimersByTimeAsync(100_000);
  expect(hellos(model)).toHaveLength(asked);
});

it("says that a question was lost when what was sent after it on the same way is answered", async () => {
  const model = new MockModel({ running: "" });
  const session = new ChatSession(model.as as never, ending.signal);
  session.store.dispatch({ type: "typed", text: "Why?" });
  void session.ask();
  await vi.advanceTimersByTimeAsync(1000);
  model.send = (message) => {
    model.sent.push(message);
    if (message.type === "ping") queueMicrotask(() => model.receive({ type: "pong", request_id: message.request_id }));
  };
  await vi.advanceTimersByTimeAsync(10_000);
  expect(session.store.state.refused?.code).toBe("lost");
  expect(session.store.state.draft).toBe("Why?");
  expect(session.free).toBe(true);
});
