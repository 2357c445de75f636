// One sweep in this page: what all views of a grid share.

import type { AnyModel } from "@anywidget/types";
import { Channel } from "../channel";
import { Store } from "../store";
import { newId } from "../wire";
import { type FromView, type SweepTraits, TO_VIEW, type ToView } from "./messages";
import { INITIAL, reduce, type SweepAction, type SweepState } from "./state";

type Asked = { open_run: "run"; give_table: "sweep_table" };

export class SweepSession {
  readonly model: AnyModel<SweepTraits>;
  readonly store = new Store<SweepState, SweepAction>(reduce, INITIAL);
  readonly channel: Channel<typeof TO_VIEW, FromView>;
  #inquiries = new Map<string, (answer: ToView) => void>();

  constructor(model: AnyModel<SweepTraits>, signal: AbortSignal) {
    this.model = model;
    this.channel = new Channel<typeof TO_VIEW, FromView>({
      model: model as AnyModel,
      signal,
      table: TO_VIEW,
      onMessage: (message) => {
        this.#inquiries.get(message.request_id)?.(message);
        this.#inquiries.delete(message.request_id);
        this.store.dispatch(message);
      },
      onReady: () => this.#hello(),
      onGone: () => this.store.dispatch({ type: "gone" }),
    });
    this.#hello();
  }

  send(message: FromView): void {
    this.channel.send(message);
  }

  /** Asks the kernel for something, and returns its answer; where the kernel is gone there never is one. */
  async ask<K extends keyof Asked>(message: FromView & { type: K }): Promise<Extract<ToView, { type: Asked[K] }>> {
    const answer = await new Promise<ToView>((resolve) => {
      this.#inquiries.set(message.request_id, resolve);
      this.send(message);
    });
    return answer as Extract<ToView, { type: Asked[K] }>;
  }

  #hello(): void {
    this.send({ type: "hello", request_id: newId() });
  }
}
