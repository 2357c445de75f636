// One comparison in this page: what all its views share.

import type { AnyModel } from "@anywidget/types";
import { Channel } from "../channel";
import { Drafting } from "../chat/draft";
import type { Writer } from "../chat/session";
import { Silence } from "../chat/silence";
import { type ChatAction, type ChatState, INITIAL, isBusy, reduce as reduceChat } from "../chat/state";
import type { FromView, ToView } from "../messages";
import { Store } from "../store";
import { newId } from "../wire";
import { type FromCompare, TABLE, type ToCompare, type Vote } from "./messages";
import { type CompareAction, type CompareState, NOTHING, reduce } from "./state";

export class CompareSession implements Writer {
  readonly model: AnyModel;
  readonly rounds = new Store<CompareState, CompareAction>(reduce, NOTHING);
  /** To the message box, a comparison is a conversation of questions. */
  readonly store = new Store<ChatState, ChatAction>(reduceChat, INITIAL);
  #channel: Channel<typeof TABLE, FromCompare>;
  #drafting: Drafting;
  #inquiries = new Map<string, (answer: ToCompare) => void>();
  #silence: Silence;

  constructor(model: AnyModel, signal: AbortSignal) {
    this.model = model;
    this.#silence = new Silence(
      () => isBusy(this.store.state),
      () => this.hello(),
      signal,
    );
    this.#channel = new Channel({
      model,
      signal,
      table: TABLE,
      onMessage: (message) => this.#receive(message),
      onPong: () => this.store.dispatch({ type: "unblocked" }),
      onReady: () => this.#ready(),
      onGone: () => {
        this.store.dispatch({ type: "gone" });
        this.rounds.dispatch({ type: "gone" });
      },
    });
    this.#drafting = new Drafting(this.store, (message) => this.#channel.send(message), signal);
    this.hello();
  }

  get parts() {
    return this.#channel.parts;
  }

  hello(): void {
    this.#channel.send({ type: "hello", request_id: newId() });
  }

  async ask(): Promise<void> {
    const { draft: text, files, gone } = this.store.state;
    if (!text.trim() || gone || isBusy(this.store.state)) return;
    const requestId = newId();
    this.store.dispatch({ type: "asked", requestId, text });
    this.#silence.broken();
    const along = files.length > 0 ? { files: [...files] } : {};
    await this.#probe("send", { type: "ask", request_id: requestId, text, ...along }, requestId);
  }

  async stop(): Promise<void> {
    const { running, pending, stopping, blocked } = this.store.state;
    if ((stopping && !blocked) || !isBusy(this.store.state)) return;
    const target = running || pending?.requestId || "generation";
    this.store.dispatch({ type: "stopped" });
    this.#silence.broken();
    await this.#probe("stop", { type: "abort", request_id: newId(), target }, target);
  }

  judge(round: number, vote: Vote): void {
    this.#channel.send({ type: "judge", request_id: newId(), round, vote });
  }

  hideNames(blind: boolean): void {
    this.#channel.send({ type: "hide_names", request_id: newId(), blind });
  }

  /** Asks the kernel about what is being written; `null` if it cannot tell. */
  async inquire<T extends ToView["type"]>(message: FromView, type: T): Promise<Extract<ToView, { type: T }> | null> {
    const answer = await new Promise<ToCompare>((resolve) => {
      this.#inquiries.set(message.request_id, resolve);
      this.#channel.send(message);
    });
    return answer.type === type ? (answer as Extract<ToView, { type: T }>) : null;
  }

  async #probe(what: "send" | "stop", message: FromCompare, requestId: string): Promise<void> {
    const answered = await this.#channel.sendAndProbe(message);
    if (!answered) this.store.dispatch({ type: "blocked", what, requestId });
  }

  /** The way to the kernel is free: an abort may have been lost on it, and what came meanwhile. */
  #ready(): void {
    const { running, stopping } = this.store.state;
    if (stopping) this.#channel.send({ type: "abort", request_id: newId(), target: running || "generation" });
    this.hello();
  }

  #receive(message: ToCompare): void {
    this.#silence.broken();
    const inquiry = this.#inquiries.get(message.request_id);
    if (inquiry) {
      this.#inquiries.delete(message.request_id);
      inquiry(message);
      return;
    }
    if (message.type === "draft") {
      this.#drafting.take(message);
      return;
    }
    const before = this.rounds.state;
    this.rounds.dispatch(message);
    const { state } = this.rounds;
    if (state.lost && !before.lost) this.hello();
    const at = performance.now();
    if (message.type === "error") this.store.dispatch({ type: "message", message, at });
    if (
      state.rounds.length !== before.rounds.length ||
      state.running !== before.running ||
      message.type === "compared"
    ) {
      const turns = state.rounds.map(({ message: content }, number) => ({
        id: String(number),
        role: "user" as const,
        content,
        typed: content,
      }));
      const { running } = state;
      const told = { type: "snapshot" as const, request_id: "", turns, running, seq: 0, tokens: 0, earlier: 0 };
      this.store.dispatch({ type: "message", message: told, at });
    }
    if (message.type === "withdrawn") {
      const { request_id, text } = message;
      this.store.dispatch({ type: "message", message: { type: "rejected", request_id, text, turn: "" }, at });
    }
  }
}
