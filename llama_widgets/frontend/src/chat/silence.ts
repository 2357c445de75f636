// Notices that nothing is heard of an answer. Either it has nothing to say, or its messages do not arrive: the
// connection was lost, or the host shows only what the kernel sends while it handles a message, as Colab does.

const FIRST_MS = 1500;
const LONGEST_MS = 60_000;

export class Silence {
  #isAwaited: () => boolean;
  #ask: () => void;
  #wait = FIRST_MS;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** Calls `ask` while something is awaited and nothing is heard, less and less often. */
  constructor(isAwaited: () => boolean, ask: () => void, signal: AbortSignal) {
    this.#isAwaited = isAwaited;
    this.#ask = ask;
    signal.addEventListener("abort", () => clearTimeout(this.#timer));
  }

  /** Something new was heard, or begun. */
  broken(): void {
    this.#wait = FIRST_MS;
    this.#listen();
  }

  #listen(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      if (!this.#isAwaited()) return;
      this.#wait = Math.min(2 * this.#wait, LONGEST_MS);
      this.#listen();
      this.#ask();
    }, this.#wait);
  }
}
