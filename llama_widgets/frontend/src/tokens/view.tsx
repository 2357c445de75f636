// The tabs of a TokenView.

import type { AnyModel } from "@anywidget/types";
import { useEffect, useRef, useState } from "preact/hooks";
import { useTraits, useUniqueId } from "../hooks";
import { Alert, Connected } from "../ui";
import { Answers } from "./answers";
import { Context } from "./context";
import { TABS, type Tab } from "./messages";
import { NextToken } from "./next";
import type { TokenSession } from "./session";
import { Template } from "./template";
import { Tokenizer } from "./tokenizer";

const NAMES: Record<Tab, string> = {
  probabilities: "Probabilities",
  next: "Next token",
  tokenizer: "Tokenizer",
  template: "Template",
  context: "Context",
};
const VIEWS = { probabilities: Answers, next: NextToken, tokenizer: Tokenizer, template: Template, context: Context };

export interface TabProps {
  session: TokenSession;
  /** The kernel is at work on what this tab shows. */
  busy: boolean;
}

export function TokenView({ session }: { session: TokenSession }) {
  const traits = useTraits(session.model, "tab", "busy", "error", "asked");
  const [tab, setTab] = useState<Tab>(traits.tab);
  const id = useUniqueId();
  useEffect(() => setTab(traits.tab), [traits.tab]);
  useEffect(() => session.send({ type: "show_tab", tab }), [session, tab]);
  const View = VIEWS[tab];
  const busy = traits.busy.includes(tab);
  return (
    <div class="lw-box lw-tokens">
      <Connected model={session.model as AnyModel}>
        <div class="lw-bar lw-row">
          <Tabs id={id} tab={tab} onPick={setTab} />
          {traits.asked && <span class="lw-muted lw-small lw-ellipsis lw-of">{traits.asked}</span>}
        </div>
        <Alert error={traits.error} />
        <div id={`${id}-panel`} role="tabpanel" aria-labelledby={`${id}-${tab}`} aria-busy={busy}>
          <View session={session} busy={busy} />
        </div>
      </Connected>
    </div>
  );
}

interface TabsProps {
  id: string;
  tab: Tab;
  onPick: (tab: Tab) => void;
}

function Tabs({ id, tab, onPick }: TabsProps) {
  const list = useRef<HTMLDivElement>(null);
  const onKeyDown = (event: KeyboardEvent) => {
    const at = TABS.indexOf(tab);
    const moves: Record<string, number> = {
      ArrowRight: at + 1,
      ArrowLeft: at - 1 + TABS.length,
      Home: 0,
      End: TABS.length - 1,
    };
    const to = moves[event.key];
    if (to === undefined) return;
    event.preventDefault();
    onPick(TABS[to % TABS.length] as Tab);
    list.current?.querySelectorAll<HTMLElement>('[role="tab"]')[to % TABS.length]?.focus();
  };
  return (
    <div class="lw-tabs" role="tablist" aria-label="Views of tokens" ref={list} onKeyDown={onKeyDown}>
      {TABS.map((each) => (
        <button
          key={each}
          type="button"
          role="tab"
          id={`${id}-${each}`}
          aria-selected={each === tab}
          aria-controls={`${id}-panel`}
          tabIndex={each === tab ? 0 : -1}
          onClick={() => onPick(each)}
        >
          {NAMES[each]}
        </button>
      ))}
    </div>
  );
}
