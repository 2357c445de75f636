// What a TokenView is told by its views. The kernel checks it; the bundle takes only the types from here.

import { list, number, type Outgoing, oneOf, text, whole } from "../wire";
import { TABS } from "./messages";

export const FROM_VIEW = {
  hello: {},
  show_tab: { tab: oneOf(...TABS) },
  branch: { line: text, position: whole(0), token: whole(0) },
  predict: { text },
  take: { token: whole(0) },
  draw: { temperature: number(0, 5), top_k: whole(0), top_p: number(0, 1), min_p: number(0, 1) },
  untake: {},
  tokenize: { text, models: list(text) },
  detokenize: { ids: list(whole(0)), models: list(text) },
  abort: { target: text },
};

export type FromView = Outgoing<typeof FROM_VIEW>;
