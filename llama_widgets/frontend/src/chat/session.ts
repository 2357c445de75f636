// One conversation in this page: what all views of a panel share. It lives as long as the model, not as a view.

import type { AnyModel } from "@anywidget/types";
import { Parts } from "../markdown/parts";
import { type ChatTraits, type FromView, INCOMING, type ToView, type Turn } from "../messages";
import { Store } from "../store";
import { Transport, watchConnection } from "../transport";
import { newId, receive } from "../wire";
import { Drafting } from "./draft";
import { Silence } from "./silence";
import { type ChatAction, type ChatState, INITIAL, isBusy, reduce } from "./state";

/** How long trait and messages may disagree about what is running before the whole is asked for again. */
const SETTLE_MS = 1000;

/** What a message box needs to be written in. */
export type Writer = Pick<ChatSession, "store" | "ask" | "stop" | "inquire">;

export class ChatSession {
  readonly model: AnyModel<ChatTraits>;
  readonly store: Store<ChatState, ChatAction>;
  /** What is shown can be read and stopped, and not changed. */
  fixed = false;
  /** Where the keyboard goes on as soon as that is drawn. */
  focusSoon: (() => HTMLElement | null | undefined) | null = null;
  /** What the conversation needs to be drawn in colours. */
  readonly parts: Parts;
  #transport: Transport;
  #drafting: Drafting;
  #inquiries = new Map<string, (answer: ToView) => void>();
  #silence: Silence;
  /** The way that the last question took. */
  #way = "";

  constructor(model: AnyModel<ChatTraits>, signal: AbortSignal) {
    this.model = model;
    this.store = new Store(reduce, INITIAL);
    this.parts = new Parts({
      kernel: String(model.get("_bundle" as never)),
      ask: (name) => this.#transport.send({ type: "part", request_id: newId(), name }),
      alive: () => !signal.aborted && !this.store.state.gone,
    });
    const onMessage = (data: unknown) => this.#receive(data);
    let settling: ReturnType<typeof setTimeout> | undefined;
    const onRunning = () => {
      clearTimeout(settling);
      settling = setTimeout(() => this.#compareRunning(), SETTLE_MS);
    };
    const onChange = () => this.#silence.broken();
    this.#silence = new Silence(
      () => isBusy(this.store.state),
      () => void this.#catchUp(),
      signal,
    );
    model.on("msg:custom", onMessage);
    model.on("change:running", onRunning);
    model.on("change:state", onChange);
    model.on("change:progress", onChange);
    signal.addEventListener("abort", () => {
      clearTimeout(settling);
      model.off("msg:custom", onMessage);
      model.off("change:running", onRunning);
      model.off("change:state", onChange);
      model.off("change:progress", onChange);
    });
    watchConnection(model as AnyModel, {
      onGone: () => this.store.dispatch({ type: "gone" }),
      onBack: () => {
        this.#transport.prove();
        void this.#catchUp();
      },
      signal,
    });
    this.#transport = new Transport(model as AnyModel, {
      onAlive: () => {
        // The first hello, or an abort, may still wait behind a running cell; these do not.
        this.#stopAgain();
        if (!this.store.state.synced) this.hello();
      },
    });
    this.#drafting = new Drafting(this.store, (message) => this.#transport.send(message), signal);
    this.hello();
  }

  send(message: FromView): void {
    this.#transport.send(message);
  }

  hello(): void {
    this.send({ type: "hello", request_id: newId() });
  }

  /** Whether something can be asked or changed now. */
  get free(): boolean {
    return !this.store.state.gone && !isBusy(this.store.state);
  }

  async ask(): Promise<void> {
    const { draft: text, files } = this.store.state;
    const along = files.length > 0 ? { files: [...files] } : {};
    if (text.trim()) await this.#begin({ type: "ask", request_id: newId(), text, ...along }, text);
  }

  async edit({ id, typed }: Turn, text: string): Promise<void> {
    const how = typed === undefined ? {} : { fill: true };
    if (text.trim()) await this.#begin({ type: "edit", request_id: newId(), turn: id, text, ...how });
  }

  async regenerate(turn: string): Promise<void> {
    await this.#begin({ type: "regenerate", request_id: newId(), turn });
  }

  async goOn(): Promise<void> {
    await this.#begin({ type: "continue", request_id: newId() });
  }

  async #begin(message: FromView, draft = ""): Promise<void> {
    if (!this.free) return;
    this.store.dispatch({ type: "asked", requestId: message.request_id, text: draft });
    this.#way = this.#transport.way;
    this.#silence.broken();
    await this.#probe("send", message);
  }

  async stop(): Promise<void> {
    const { running, pending, stopping, blocked } = this.store.state;
    if ((stopping && !blocked) || !isBusy(this.store.state)) return;
    const target = running || pending?.requestId || "generation";
    this.store.dispatch({ type: "stopped" });
    this.#silence.broken();
    await this.#probe("stop", { type: "abort", request_id: newId(), target }, target);
  }

  clear(): void {
    this.#remove("Conversation cleared.", { type: "clear", request_id: newId() });
  }

  delete(turn: string): void {
    this.#remove("Deleted.", { type: "delete", request_id: newId(), turn });
  }

  deleteConversation(conversation: string): void {
    this.#remove("Conversation deleted.", { type: "delete_conversation", request_id: newId(), conversation });
  }

  undo(): void {
    this.#remove("", { type: "undo", request_id: newId() });
  }

  switch(turn: string): void {
    this.#transport.send({ type: "switch", request_id: newId(), turn });
  }

  newConversation(): void {
    this.#transport.send({ type: "new_conversation", request_id: newId() });
  }

  openConversation(conversation: string): void {
    this.#transport.send({ type: "open_conversation", request_id: newId(), conversation });
  }

  renameConversation(conversation: string, name: string): void {
    this.#transport.send({ type: "rename_conversation", request_id: newId(), conversation, name });
  }

  /** Asks the kernel about what is being written; `null` if it cannot tell. */
  async inquire<T extends ToView["type"]>(message: FromView, type: T): Promise<Extract<ToView, { type: T }> | null> {
    const answer = await new Promise<ToView>((resolve) => {
      this.#inquiries.set(message.request_id, resolve);
      this.#transport.send(message);
    });
    return answer.type === type ? (answer as Extract<ToView, { type: T }>) : null;
  }

  /** Asks for the turns that the snapshot left out. */
  async fetchEarlier(): Promise<void> {
    const of = this.store.state.earlier;
    if (!of) return;
    const told = await this.inquire({ type: "earlier", request_id: newId(), turn: of.before }, "earlier_turns");
    if (told?.turns) this.store.dispatch({ type: "earlier", of, turns: told.turns });
  }

  #remove(what: string, message: FromView): void {
    if (!this.free) return;
    this.store.dispatch({ type: "removed", what });
    this.#transport.send(message);
  }

  async #probe(what: "send" | "stop", message: FromView, requestId = message.request_id): Promise<void> {
    const answered = await this.#transport.sendAndProbe(message);
    if (!answered) this.store.dispatch({ type: "blocked", what, requestId });
  }

  #receive(data: unknown): void {
    const message = receive(data, INCOMING);
    if (!message) return;
    if (message.type === "pong") {
      this.#transport.pong(message.request_id);
      this.store.dispatch({ type: "unblocked" });
      return;
    }
    if (message.type === "part_code") {
      void this.parts.take(message);
      return;
    }
    if (message.type === "draft") {
      this.#drafting.take(message);
      return;
    }
    const inquiry = this.#inquiries.get(message.request_id);
    if (inquiry) {
      this.#inquiries.delete(message.request_id);
      inquiry(message);
      return;
    }
    const before = this.store.state;
    this.store.dispatch({ type: "message", message, at: performance.now() });
    const { state } = this.store;
    if (state.lost && !before.lost) this.hello();
    if (message.type !== "snapshot" || said(state) !== said(before)) this.#silence.broken();
  }

  /** Nothing is heard: asks how things are, and makes up for what may have got lost on its way there. */
  async #catchUp(): Promise<void> {
    const { pending } = this.store.state;
    const way = this.#transport.way;
    this.#stopAgain();
    const answered = await this.#transport.sendAndProbe({ type: "hello", request_id: newId() });
    // What came after the question on the same way was answered, and the question was not echoed.
    if (answered && pending && way === this.#way) this.store.dispatch({ type: "lost", requestId: pending.requestId });
  }

  /** An abort may have got lost; one that comes twice does no harm. */
  #stopAgain(): void {
    const { running, stopping } = this.store.state;
    if (stopping) this.send({ type: "abort", request_id: newId(), target: running || "generation" });
  }

  /** Traits and messages travel apart and the order between them is not promised; but soon they have to agree. */
  #compareRunning(): void {
    if (this.model.get("running") !== this.store.state.running) this.hello();
  }
}

/** How far the conversation is. */
function said({ turns, running, live }: ChatState): string {
  return [turns.length, running, live?.id, live?.text.length, live?.thoughts.length].join();
}
