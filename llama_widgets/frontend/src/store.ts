// A reducer with listeners. State changes at once; listeners hear of it once per animation frame.

export class Store<State, Action> {
  #state: State;
  #reduce: (state: State, action: Action) => State;
  #listeners = new Set<() => void>();
  #frame = 0;

  constructor(reduce: (state: State, action: Action) => State, initial: State) {
    this.#reduce = reduce;
    this.#state = initial;
  }

  get state(): State {
    return this.#state;
  }

  dispatch(action: Action): void {
    const next = this.#reduce(this.#state, action);
    if (next === this.#state) return;
    this.#state = next;
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0;
      for (const listener of this.#listeners) {
        try {
          listener();
        } catch (error) {
          console.error("[llama_widgets]", error); // the others must hear of it, or a part of the page stays as it was
        }
      }
    });
  }

  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}
