// What is being written is kept by the kernel, so that it is there after a reload.

import type { FromView, TextFile, ToView } from "../messages";
import type { Store } from "../store";
import { newId } from "../wire";
import type { ChatAction, ChatState } from "./state";

/** The kernel hears of it so often, at most. */
const PACE_MS = 500;

export class Drafting {
  #store: Store<ChatState, ChatAction>;
  #send: (message: FromView) => void;
  #text = "";
  #files: readonly TextFile[];
  /** Something was written in this page: what other pages wrote is not for it any more. */
  #wrote = false;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(store: Store<ChatState, ChatAction>, send: (message: FromView) => void, signal: AbortSignal) {
    this.#store = store;
    this.#files = store.state.files;
    this.#send = send;
    const stop = store.subscribe(() => {
      if (this.#changed) this.#timer ??= setTimeout(() => this.#flush(), PACE_MS);
    });
    addEventListener("pagehide", () => this.#flush(), { signal });
    signal.addEventListener("abort", () => {
      clearTimeout(this.#timer);
      stop();
    });
  }

  /** Takes what the kernel has kept. */
  take({ text, files }: Extract<ToView, { type: "draft" }>): void {
    const { draft, files: attached } = this.#store.state;
    if (this.#wrote || draft || attached.length > 0) return;
    this.#text = text;
    this.#files = files ?? [];
    this.#store.dispatch({ type: "typed", text });
    this.#store.dispatch({ type: "attached", files: this.#files });
  }

  get #changed(): boolean {
    const { draft, files } = this.#store.state;
    return draft !== this.#text || files !== this.#files;
  }

  #flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (!this.#changed || this.#store.state.gone) return;
    const { draft, files } = this.#store.state;
    const newFiles = files === this.#files ? null : [...files];
    this.#text = draft;
    this.#files = files;
    this.#wrote = true;
    this.#send({ type: "draft", request_id: newId(), text: draft, files: newFiles });
  }
}
