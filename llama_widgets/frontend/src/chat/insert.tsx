// The Python that makes an answer again, in a cell of the notebook.

import type { AnyModel } from "@anywidget/types";
import type { TargetedMouseEvent } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import type { Turn } from "../messages";
import { newId } from "../wire";
import { insertOrCopy } from "./cells";
import type { ChatSession } from "./session";

const NAME = "Insert as cell";

export function InsertAsCell({ turn, session }: { turn: Turn; session: ChatSession }) {
  const [said, setSaid] = useState("");
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  useEffect(() => () => clearTimeout(timer.current), []);
  const onClick = async ({ currentTarget: button }: TargetedMouseEvent<HTMLButtonElement>) => {
    const told = await session.inquire({ type: "to_code", request_id: newId(), turn: turn.id }, "code");
    if (!told) return;
    await insertOrCopy(session.model as AnyModel, button, told.text, (text, duration) => {
      setSaid(text);
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
