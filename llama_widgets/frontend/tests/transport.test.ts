import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { CONTROL_TARGET } from "../src/messages";
import { modelId, Transport } from "../src/transport";
import { type MockComm, MockKernel, MockModel } from "./mocks";

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

/** Lets promises that are due settle; no time passes. */
const soon = () => vi.advanceTimersByTimeAsync(0);
const later = (ms: number) => vi.advanceTimersByTimeAsync(ms);

function onKernel(kernel = new MockKernel(), id = "model-1") {
  return { kernel, model: new MockModel({}, { id, manager: { kernel } }) };
}

/** A transport whose control comm has answered. */
async function proved() {
  const { kernel, model } = onKernel();
  const transport = new Transport(model.as);
  await soon();
  const comm = kernel.comms[0];
  if (!comm) throw new Error("no comm");
  transport.pong(String(comm.sent[0]?.request_id));
  return { kernel, model, comm, transport };
}

describe("the control comm", () => {
  it("is used only after a pong has come back for a ping that went over it", async () => {
    const { kernel, model } = onKernel();
    const create = vi.spyOn(kernel, "createComm");
    const onAlive = vi.fn();
    const transport = new Transport(model.as, { onAlive });
    transport.send({ type: "hello", request_id: "h1" });
    await soon();
    expect(create).toHaveBeenCalledWith(CONTROL_TARGET);
    const [comm] = kernel.comms;
    expect(comm?.sent).toEqual([{ type: "ping", request_id: expect.any(String), widget: "model-1" }]);
    transport.send({ type: "hello", request_id: "h2" });
    expect(model.sent.map((message) => message.request_id)).toEqual(["h1", "h2"]);

    transport.pong("of somebody else");
    expect(onAlive).not.toHaveBeenCalled();
    transport.pong(String(comm?.sent[0]?.request_id));
    expect(onAlive).toHaveBeenCalledOnce();
    transport.send({ type: "abort", request_id: "a", target: "r1" });
    expect(comm?.sent.at(-1)).toEqual({ type: "abort", request_id: "a", target: "r1", widget: "model-1" });
    expect(model.sent).toHaveLength(2);
  });

  it("is opened when its subshell has started", async () => {
    const kernel = new MockKernel();
    let start = () => {};
    kernel.subshellStarted = new Promise<void>((resolve) => {
      start = resolve;
    });
    new Transport(onKernel(kernel).model.as);
    await later(1000);
    expect(kernel.comms[0]?.opened).toBe(false);
    start();
    await soon();
    expect(kernel.comms[0]?.opened).toBe(true);
  });

  it("is opened all the same where subshells are switched off and none ever starts", async () => {
    const kernel = new MockKernel();
    kernel.subshellStarted = new Promise(() => {});
    new Transport(onKernel(kernel).model.as);
    await later(2000);
    expect(kernel.comms[0]?.opened).toBe(true);
  });

  it("is one for all widgets of the kernel", async () => {
    const { kernel, transport } = await proved();
    const second = onKernel(kernel, "model-2").model;
    const other = new Transport(second.as);
    await soon();
    expect(kernel.comms).toHaveLength(1);
    other.send({ type: "hello", request_id: "h" });
    expect(kernel.comms[0]?.sent.at(-1)).toMatchObject({ type: "hello", widget: "model-2" });
    expect(transport).not.toBe(other);
  });

  it("is given up when the kernel has closed it, and a new widget opens another", async () => {
    const { kernel, model, comm, transport } = await proved();
    comm.isDisposed = true;
    transport.send({ type: "hello", request_id: "h" });
    expect(model.last("hello")).toBeDefined();
    new Transport(onKernel(kernel, "model-2").model.as);
    await soon();
    expect(kernel.comms).toHaveLength(2);
  });

  it.each([
    ["the kernel has no subshells", { supportsSubshells: false }],
    ["the kernel connection makes no comms", { createComm: undefined }],
  ])("is not tried where %s", async (_why, lacks) => {
    const kernel = Object.assign(new MockKernel(), lacks);
    const { model } = onKernel(kernel);
    const transport = new Transport(model.as);
    await later(5000);
    expect(kernel.comms).toHaveLength(0);
    transport.send({ type: "hello", request_id: "h" });
    expect(model.sent).toHaveLength(1);
  });

  it("is not tried where the host has no widget manager of Jupyter's", async () => {
    const model = new MockModel();
    model.widget_manager = undefined as never;
    model.set = () => undefined as never;
    expect(modelId(model.as)).toBeUndefined();
    new Transport(model.as).send({ type: "hello", request_id: "h" });
    await soon();
    expect(model.sent).toHaveLength(1);
  });
});

describe("a probe", () => {
  it("is answered by the pong of a ping that took the same way", async () => {
    const { comm, transport } = await proved();
    const answer = transport.sendAndProbe({ type: "abort", request_id: "a", target: "r1" });
    const [abort, ping] = comm.sent.slice(-2);
    expect([abort?.type, ping?.type]).toEqual(["abort", "ping"]);
    transport.pong(String(ping?.request_id));
    await expect(answer).resolves.toBe(true);
  });

  it("says no after half a second, and tries the plain way if the control comm was silent", async () => {
    const { model, transport } = await proved();
    const answer = transport.sendAndProbe({ type: "abort", request_id: "a", target: "r1" });
    await later(499);
    expect(model.sent).toHaveLength(0);
    await later(1);
    await expect(answer).resolves.toBe(false);
    expect(model.sent).toEqual([{ type: "abort", request_id: "a", target: "r1" }]);
    transport.send({ type: "hello", request_id: "h" });
    expect(model.last("hello")).toBeDefined();
  });

  it("that failed is made good by a pong that comes late", async () => {
    const { comm, transport } = await proved();
    const answer = transport.sendAndProbe({ type: "hello", request_id: "h" });
    await later(500);
    await expect(answer).resolves.toBe(false);
    expect(transport.way).toBe("plain");
    transport.pong(String(comm.sent.at(-1)?.request_id));
    expect(transport.way).toBe("control");
  });

  it("sends an abort that got no answer on the plain way over a control comm that has come up since", async () => {
    const { kernel, model } = onKernel();
    const transport = new Transport(model.as);
    await soon();
    const abort = { type: "abort", request_id: "a", target: "r1" } as const;
    void transport.sendAndProbe(abort);
    transport.pong(String(kernel.comms[0]?.sent[0]?.request_id));
    await later(500);
    expect(model.sent.map(({ type }) => type)).toEqual(["abort", "ping"]);
    expect(kernel.comms[0]?.sent.at(-1)).toEqual({ ...abort, widget: "model-1" });
  });

  it("never asks a question twice", async () => {
    const { model, comm, transport } = await proved();
    const answer = transport.sendAndProbe({ type: "ask", request_id: "r", text: "Why?" });
    await later(500);
    await expect(answer).resolves.toBe(false);
    expect([...comm.sent, ...model.sent].filter(({ type }) => type === "ask")).toHaveLength(1);
  });

  it("sends once where there is no other way", async () => {
    const model = new MockModel();
    const answer = new Transport(model.as).sendAndProbe({ type: "ask", request_id: "r", text: "Why?" });
    await later(500);
    await expect(answer).resolves.toBe(false);
    expect(model.sent.map(({ type }) => type)).toEqual(["ask", "ping"]);
  });
});

it("a transport that listens tries the control comm again when the connection is back", async () => {
  const { kernel, model } = onKernel();
  const ending = new AbortController();
  const transport = Transport.listening(model.as, ending.signal);
  await soon();
  const comm = kernel.comms[0] as MockComm;
  kernel.connectionStatusChanged.emit("connecting");
  await soon();
  expect(comm.sent).toHaveLength(1); // its pong was lost
  kernel.connectionStatusChanged.emit("connected");
  await soon();
  model.receive({ type: "pong", request_id: comm.sent[1]?.request_id });
  expect(transport.way).toBe("control");
  ending.abort();
  expect(kernel.connectionStatusChanged.slots.size).toBe(0);
});

it("a transport that listens hears its own pongs until its signal ends", async () => {
  const model = new MockModel();
  const ending = new AbortController();
  const transport = Transport.listening(model.as, ending.signal);
  const answer = transport.sendAndProbe({ type: "unload_model", request_id: "u" });
  model.receive({ type: "pong", request_id: model.last("ping")?.request_id });
  await expect(answer).resolves.toBe(true);
  ending.abort();
  expect(model.listeners).toBe(0);
});
