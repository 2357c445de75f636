// Names of the notebook after a brace in the message box: `{df.des` offers `describe`.

import type { RefObject } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { useUniqueId } from "../hooks";
import { Spoken } from "../ui";
import { newId } from "../wire";
import type { Writer } from "./session";

/** An expression that is being typed, up to the cursor. Twin of what opens one: `../../../filling.py`. */
const OPEN = /(?<![\w\\^$%#@\])}{])\{([^\s{}`][^{}\n`]*)?$/;

interface Offer {
  /** Where in the box the part begins that a name takes the place of. */
  start: number;
  names: string[];
}

export function useCompletion(session: Writer, box: RefObject<HTMLTextAreaElement | null>) {
  const [offer, setOffer] = useState<Offer | null>(null);
  const [active, setActive] = useState(0);
  const latest = useRef("");
  const listId = useUniqueId();
  const close = () => {
    latest.current = "";
    setOffer(null);
  };

  const look = async () => {
    const area = box.current;
    const cursor = area?.selectionStart ?? 0;
    const before = area?.value.slice(0, cursor) ?? "";
    const typed = area?.selectionEnd === cursor && OPEN.exec(before);
    if (!typed) return close();
    const source = typed[1] ?? "";
    const request_id = newId();
    latest.current = request_id;
    const found = await session.inquire({ type: "complete", request_id, source }, "completions");
    if (latest.current !== request_id) return;
    if (!found?.names.length) return close();
    setOffer({ start: cursor - source.length + found.start, names: found.names });
    setActive(0);
  };

  const take = (name: string) => {
    const area = box.current;
    if (!offer || !area) return;
    area.setRangeText(name, offer.start, area.selectionEnd, "end");
    session.store.dispatch({ type: "typed", text: area.value });
    area.focus();
    close();
  };

  /** Returns whether the key was for the list. */
  const onKeyDown = (event: KeyboardEvent): boolean => {
    if (!offer) return false;
    const many = offer.names.length;
    const name = offer.names[active];
    const step = { ArrowDown: 1, ArrowUp: many - 1 }[event.key];
    if (step !== undefined) setActive((active + step) % many);
    else if (event.key === "Escape") close();
    else if ((event.key === "Enter" || event.key === "Tab") && !event.shiftKey && name) take(name);
    else return false;
    event.preventDefault();
    return true;
  };

  const list = offer && <Names id={listId} names={offer.names} active={active} onTake={take} />;
  const attributes = {
    "aria-autocomplete": "list" as const,
    "aria-haspopup": "listbox" as const,
    "aria-controls": offer ? listId : undefined,
    "aria-activedescendant": offer ? `${listId}-${active}` : undefined,
  };
  return { look, close, onKeyDown, list, attributes };
}

interface NamesProps {
  id: string;
  names: string[];
  active: number;
  onTake: (name: string) => void;
}

function Names({ id, names, active, onTake }: NamesProps) {
  const list = useRef<HTMLDivElement>(null);
  useEffect(() => {
    list.current?.children[active]?.scrollIntoView?.({ block: "nearest" });
  }, [active, names]);
  return (
    <>
      <div ref={list} id={id} class="lw-names" role="listbox" aria-label="Variables">
        {names.map((name, index) => (
          // biome-ignore lint/a11y/useKeyWithClickEvents: the box has the keys
          <div
            key={name}
            id={`${id}-${index}`}
            class="lw-name"
            role="option"
            tabIndex={-1}
            aria-selected={index === active}
            // The box keeps the focus.
            onMouseDown={(event) => event.preventDefault()}
            onClick={() => onTake(name)}
          >
            {name}
          </div>
        ))}
      </div>
      <Spoken>{`${names.length} ${names.length === 1 ? "name" : "names"}, ${names[active]}`}</Spoken>
    </>
  );
}
