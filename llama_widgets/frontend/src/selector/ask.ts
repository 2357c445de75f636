// Questions of a view to the kernel, each with one answer.

import type { AnyModel } from "@anywidget/types";
import { useEffect, useRef } from "preact/hooks";
import { type Failure, type FromView, INCOMING, type ToView } from "../messages";
import { receive } from "../wire";

interface Waiting {
  resolve: (answer: ToView) => void;
  reject: (failure: Failure) => void;
}

export type Ask = (message: FromView) => Promise<ToView>;

/** Returns what sends a message and waits for the answer with the same id; an `error` is thrown as a `Failure`. */
export function useAsk(model: AnyModel, send: (message: FromView) => void): Ask {
  const waiting = useRef(new Map<string, Waiting>());
  useEffect(() => {
    const onMessage = (data: unknown) => {
      const answer = receive(data, INCOMING);
      const asked = answer && waiting.current.get(answer.request_id);
      if (!asked) return;
      waiting.current.delete(answer.request_id);
      if (answer.type === "error") asked.reject(answer);
      else asked.resolve(answer);
    };
    model.on("msg:custom", onMessage);
    return () => model.off("msg:custom", onMessage);
  }, [model]);
  return (message) =>
    new Promise((resolve, reject) => {
      waiting.current.set(message.request_id, { resolve, reject });
      send(message);
    });
}
