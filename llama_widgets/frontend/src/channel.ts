// How a widget and its kernel talk that has messages of its own: what a chat's session does beside the conversation.

import type { AnyModel } from "@anywidget/types";
import { Parts } from "./markdown/parts";
import { type FromView, TO_VIEW } from "./messages";
import { EVENTS } from "./protocol";
import { Transport, watchConnection } from "./transport";
import { type Incoming, newId, receive, type Sent, type Table } from "./wire";

const { pong, part_code } = TO_VIEW;
/** What is told to all, and shown by a trait. */
const { info, error } = EVENTS;
type Part = Extract<FromView, { type: "part" }>;

interface ChannelOptions<T extends Table> {
  model: AnyModel;
  signal: AbortSignal;
  /** What can arrive, beside what every widget gets. */
  table: T;
  onMessage: (message: Incoming<T>) => void;
  /** The kernel is able to answer, after it has not been for a while. */
  onPong?: () => void;
  /** What was sent until now may wait behind a cell that runs, or be lost: ask again for what has not come. */
  onReady: () => void;
  onGone?: () => void;
}

export class Channel<T extends Table, Out extends Sent = Sent> {
  /** What Markdown needs to be drawn in colours. */
  readonly parts: Parts;
  #transport: Transport<Out | Part>;

  constructor({ model, signal, table, onMessage, onPong, onReady, onGone }: ChannelOptions<T>) {
    let gone = false;
    this.parts = new Parts({
      kernel: String(model.get("_bundle")),
      ask: (name) => this.#transport.send({ type: "part", request_id: newId(), name }),
      alive: () => !signal.aborted && !gone,
    });
    const all = { info, error, ...table, pong, part_code };
    const onData = (data: unknown) => {
      const message = receive(data, all) as
        | Incoming<T>
        | Incoming<{ pong: typeof pong; part_code: typeof part_code }>
        | null;
      if (message?.type === "pong") {
        this.#transport.pong(message.request_id);
        onPong?.();
      } else if (message?.type === "part_code")
        void this.parts.take(message as Incoming<{ part_code: typeof part_code }>);
      else if (message && Object.hasOwn(table, message.type)) onMessage(message as Incoming<T>);
    };
    model.on("msg:custom", onData);
    signal.addEventListener("abort", () => model.off("msg:custom", onData));
    watchConnection(model, {
      onGone: () => {
        gone = true;
        onGone?.();
      },
      onBack: () => {
        this.#transport.prove();
        onReady();
      },
      signal,
    });
    this.#transport = new Transport(model, { onAlive: onReady });
  }

  send(message: Out | Part): void {
    this.#transport.send(message);
  }

  /** Sends a message and returns whether the kernel can answer now. */
  sendAndProbe(message: Out): Promise<boolean> {
    return this.#transport.sendAndProbe(message);
  }
}
