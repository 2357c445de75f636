// What stays of an answer: the kernel replaces the output itself, but a page that was reloaded meanwhile does not hear that,
// as a front end follows the outputs of those cells only that it ran. Such a page does it from here.

import type { AnyModel } from "@anywidget/types";
import { settleOutput } from "../cells";
import type { AnswerTraits } from "../messages";
import { GONE } from "../ui";

/** The time that the ordinary way has. */
const GRACE_MS = 1000;

/** Waits for what is to stay, sees that it does, and calls `done` when this page has no more use for the widget. */
export class Settling {
  #model: AnyModel<AnswerTraits>;
  #seen = false;
  #views = 0;
  #over = false;
  #done: () => void;

  constructor(model: AnyModel<AnswerTraits>, done: () => void, signal: AbortSignal) {
    this.#model = model;
    this.#done = done;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const onSettled = () => {
      clearTimeout(timer);
      timer = setTimeout(() => this.#settle(), GRACE_MS);
    };
    model.on("change:settled", onSettled);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      model.off("change:settled", onSettled);
    });
    if (model.get("settled")) onSettled();
  }

  /** A view is drawn, until the signal. */
  drawn(signal: AbortSignal): void {
    this.#seen = true;
    this.#views += 1;
    signal.addEventListener("abort", () => {
      this.#views -= 1;
      if (this.#over && this.#views === 0) this.#done();
    });
  }

  /** Lets the beginning of an answer stay that the kernel will not end: the file would have a widget that is no more. */
  broken(text: string): void {
    if (!text || this.#model.get("settled")) return;
    // As plain text: nobody has taken from it yet what Markdown would load from the network.
    settleOutput(this.#model as AnyModel, { "text/plain": `${text}\n\n(${GONE})` }, "");
  }

  #settle(): void {
    const data = this.#model.get("settled") ?? {};
    const cell = this.#seen ? "" : this.#model.get("cell");
    if (settleOutput(this.#model as AnyModel, data, cell) || (this.#seen && this.#views === 0)) this.#done();
    else this.#over = true;
  }
}
