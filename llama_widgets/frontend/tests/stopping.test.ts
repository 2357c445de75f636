import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { ChatSession } from "../src/chat/session";
import { type MockComm, MockKernel, MockModel } from "./mocks";

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

type Message = Record<string, unknown>;

/** A conversation that is being answered, on a kernel that can be out of reach. */
async function answering() {
  const kernel = new MockKernel();
  const model = new MockModel({ running: "r" }, { manager: { kernel } });
  const session = new ChatSession(model.as as never, new AbortController().signal);
  await vi.advanceTimersByTimeAsync(0);
  const comm = kernel.comms[0] as MockComm;
  const heard: Message[] = [];
  /** What the kernel answers to what arrives there. */
  const answer = (message: Message) => {
    heard.push(message);
    if (message.type === "ping") model.receive({ type: "pong", request_id: message.request_id });
    if (message.type === "abort") {
      const turn = { id: "a", role: "assistant", content: "Half", stop_reason: "abort" };
      model.receive({ type: "turn", request_id: "r", turn });
      const timings = { ttft_s: 0, prefill_tps: 0, decode_tps: 0 };
      const usage = { prompt_tokens: 1, cached_tokens: 0, completion_tokens: 1 };
      model.receive({ type: "completion_done", request_id: "r", text: "Half", stop_reason: "abort", usage, timings });
    }
  };
  const connect = (ways: readonly ("control" | "plain")[]) => {
    comm.send = (message) => void (ways.includes("control") && answer(message));
    model.send = (message) => void (ways.includes("plain") && answer(message));
  };
  for (const message of comm.sent) answer(message);
  const turns = [
    { id: "q", role: "user", content: "Why?" },
    { id: "a", role: "assistant", content: "" },
  ];
  model.receive({ type: "snapshot", request_id: "h", turns, running: "r", seq: 0, tokens: 0 });
  heard.length = 0;
  const aborts = () => heard.filter(({ type }) => type === "abort");
  return { kernel, session, connect, aborts };
}

it("reaches the kernel when the connection is back, if it was pressed while that was lost", async () => {
  const { kernel, session, connect, aborts } = await answering();
  connect([]);
  void session.stop();
  await vi.advanceTimersByTimeAsync(60_000);
  expect(session.store.state).toMatchObject({ stopping: true, blocked: "stop" });
  connect(["control", "plain"]);
  kernel.connectionStatusChanged.emit("connected");
  await vi.advanceTimersByTimeAsync(0);
  expect(aborts()[0]).toMatchObject({ target: "r" });
  expect(session.store.state).toMatchObject({ stopping: false, blocked: "", running: "" });
});

it("takes the control comm again after a connection was lost, though that had been silent", async () => {
  const { kernel, session, connect, aborts } = await answering();
  connect([]);
  await vi.advanceTimersByTimeAsync(10_000); // nothing is heard, so the view asks and the control comm is given up
  connect(["control"]);
  kernel.connectionStatusChanged.emit("connected");
  await vi.advanceTimersByTimeAsync(0);
  void session.stop();
  expect(aborts()).toHaveLength(1);
  await vi.advanceTimersByTimeAsync(500);
  expect(session.store.state).toMatchObject({ stopping: false, blocked: "", running: "" });
});

it.each(["control", "plain"] as const)("is sent again until it arrives, where only the %s way works", async (way) => {
  const { session, connect, aborts } = await answering();
  connect([]);
  void session.stop();
  await vi.advanceTimersByTimeAsync(400);
  expect(aborts()).toHaveLength(0);
  connect([way]);
  await vi.advanceTimersByTimeAsync(10_000);
  expect(aborts()).toHaveLength(1);
  expect(session.store.state).toMatchObject({ stopping: false, blocked: "", running: "" });
});
