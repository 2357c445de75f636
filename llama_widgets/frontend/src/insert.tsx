// A button for the Python that makes an answer again, in a cell of the notebook.

import type { AnyModel } from "@anywidget/types";
import type { TargetedMouseEvent } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { insertOrCopy } from "./cells";

const NAME = "Insert as cell";

interface InsertAsCellProps {
  model: AnyModel;
  /** What to insert; nothing where it cannot be had. */
  code: () => string | undefined | Promise<string | undefined>;
}

export function InsertAsCell({ model, code }: InsertAsCellProps) {
  const [said, setSaid] = useState("");
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  useEffect(() => () => clearTimeout(timer.current), []);
  const onClick = async ({ currentTarget: button }: TargetedMouseEvent<HTMLButtonElement>) => {
    const text = await code();
    if (!text) return;
    await insertOrCopy(model, button, text, (told, duration) => {
      setSaid(told);
      clearTimeout(timer.current);
      timer.current = setTimeout(() => setSaid(""), duration);
    });
  };
  return (
    <button type="button" class="lw-quiet" aria-label={NAME} onClick={onClick}>
      {said || NAME}
    </button>
  );
}
