// One TokenView in this page: what all views of it share.

import type { AnyModel } from "@anywidget/types";
import { Channel } from "../channel";
import { Store } from "../store";
import { newId } from "../wire";
import type { FromView } from "./commands";
import { type Of, TO_VIEW, type Token, type TokenTraits, type ToView } from "./messages";

export type Line = Of<"line">;

export interface State {
  lines: readonly Line[];
  steps: Of<"steps"> | null;
  tokenized: Of<"tokenized"> | null;
  template: Of<"template"> | null;
  context: Of<"context"> | null;
  gone: boolean;
  /** Something of an answer that grows did not arrive. */
  lost: boolean;
}

export const INITIAL: State = {
  lines: [],
  steps: null,
  tokenized: null,
  template: null,
  context: null,
  gone: false,
  lost: false,
};

type Action = ToView | { type: "gone" };

export function reduce(state: State, action: Action): State {
  switch (action.type) {
    case "line": {
      const at = state.lines.findIndex(({ id }) => id === action.id);
      return { ...state, lost: false, lines: at < 0 ? [...state.lines, action] : state.lines.with(at, action) };
    }
    case "grown": {
      const at = state.lines.findIndex(({ id }) => id === action.line);
      const line = state.lines[at];
      if (!line || action.at > line.tokens.length) return { ...state, lost: true };
      const tokens = [...line.tokens.slice(0, action.at), ...action.tokens];
      return { ...state, lines: state.lines.with(at, { ...line, tokens }) };
    }
    case "line_gone":
      return { ...state, lines: state.lines.filter(({ id }) => id !== action.line) };
    case "steps":
    case "tokenized":
    case "template":
    case "context":
      return { ...state, [action.type]: action };
    case "gone":
      return { ...state, gone: true };
    default:
      return state;
  }
}

/** Returns all tokens of an answer: those that it shares with the one it left, and its own. */
export function tokensOf(lines: readonly Line[], { parent, position, tokens }: Line): readonly Token[] {
  const before = lines.find(({ id }) => id === parent);
  return before ? [...tokensOf(lines, before).slice(0, position), ...tokens] : tokens;
}

type Unnamed<M> = M extends unknown ? Omit<M, "request_id"> : never;

export class TokenSession {
  readonly model: AnyModel<TokenTraits>;
  readonly store = new Store(reduce, INITIAL);
  #channel: Channel<typeof TO_VIEW, FromView>;

  constructor(model: AnyModel<TokenTraits>, signal: AbortSignal) {
    this.model = model;
    this.#channel = new Channel<typeof TO_VIEW, FromView>({
      model: model as AnyModel,
      signal,
      table: TO_VIEW,
      onMessage: (message) => {
        const before = this.store.state.lost;
        this.store.dispatch(message);
        if (this.store.state.lost && !before) this.hello();
      },
      onReady: () => this.hello(),
      onGone: () => this.store.dispatch({ type: "gone" }),
    });
    this.hello();
  }

  hello(): void {
    this.send({ type: "hello" });
  }

  send(message: Unnamed<FromView>): void {
    this.#channel.send({ ...message, request_id: newId() } as FromView);
  }
}
