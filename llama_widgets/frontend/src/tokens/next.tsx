// What may come next, token by token: how likely each is for the model, and what the settings make of that.

import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { count } from "../format";
import { useStore, useUniqueId } from "../hooks";
import type { Of } from "./messages";
import { type Chance, type Cut, chances, type Settings } from "./sampling";
import type { TokenSession } from "./session";
import type { TabProps } from "./view";
import { share, visible } from "./words";

const FEW = 12;
const MANY = 60;

export function NextToken({ session, busy }: TabProps) {
  const steps = useStore(session.store, (state) => state.steps);
  return (
    <>
      {steps && <Steps key={steps.prompt} session={session} steps={steps} busy={busy} />}
      {!steps && (
        <p class="lw-empty lw-muted" role="status">
          {busy ? "The model reads the text…" : "Nothing was read yet."}
        </p>
      )}
    </>
  );
}

interface StepsProps {
  session: TokenSession;
  steps: Of<"steps">;
  busy: boolean;
}

function Steps({ session, steps, busy }: StepsProps) {
  const { temperature, top_k, top_p, min_p } = steps;
  const [settings, setSettings] = useState<Settings>({ temperature, top_k, top_p, min_p });
  const made = useMemo(() => chances(steps, settings), [steps, settings]);
  const taken = steps.taken.length;
  const undo = useRef<HTMLButtonElement>(null);
  useEffect(() => {
    // The row that was taken is gone, and the keyboard with it.
    if (steps.ended && document.activeElement === document.body) undo.current?.focus();
  }, [steps.ended]);
  return (
    <div class="lw-next" data-busy={busy || undefined}>
      <Prompt session={session} steps={steps} busy={busy} />
      <p class="lw-text lw-sofar" role="status" aria-label="Text so far">
        {steps.prompt}
        {steps.chat && "\n"}
        {steps.taken.map(({ text }, index) => (
          <span class="lw-token" data-p="taken" key={index} data-last={index === taken - 1 || undefined}>
            {text.replaceAll("\n", "↵\n")}
          </span>
        ))}
        <span class="lw-caret" aria-hidden="true" />
      </p>
      <Sliders settings={settings} onChange={setSettings} usual={{ temperature, top_k, top_p, min_p }} />
      <div class="lw-row lw-do">
        <button
          type="button"
          class="lw-button lw-primary"
          {...unless(busy || steps.ended, () => session.send({ type: "draw", ...settings }))}
        >
          Draw one
        </button>
        <button
          type="button"
          class="lw-button"
          ref={undo}
          {...unless(busy || taken === 0, () => session.send({ type: "untake" }))}
        >
          Undo
        </button>
        <span class="lw-muted lw-small" role="status">
          {steps.ended ? ENDED : said(made.shown, made.others.kept)}
        </span>
      </div>
      {!steps.ended && (
        <Bars steps={steps} {...made} disabled={busy} onTake={(token) => session.send({ type: "take", token })} />
      )}
    </div>
  );
}

/** A button that acts unless it is `off`. It is not disabled: that would take the keyboard away at each step. */
function unless(off: boolean, act: () => void) {
  return { "aria-disabled": off || undefined, onClick: () => off || act() };
}

const ENDED = "The model ends here: that token is its way to say so. Undo takes it away.";

/** How many tokens are left to draw from. */
function said(shown: readonly Chance[], others: number): string {
  const left = shown.filter(({ after }) => after > 0).length + others;
  return left === 1 ? "Only one token can be drawn." : `${count(left)} tokens can be drawn.`;
}

function Prompt({ session, steps, busy }: StepsProps) {
  const [text, setText] = useState(steps.prompt);
  const id = useUniqueId();
  if (steps.chat) return null;
  const begin = () => session.send({ type: "predict", text });
  return (
    <div class="lw-row">
      <label for={id} class="lw-muted lw-small">
        Begin with
      </label>
      <input
        id={id}
        class="lw-field lw-grow"
        value={text}
        onInput={({ currentTarget }) => setText(currentTarget.value)}
        onKeyDown={({ key, isComposing }) => key === "Enter" && !isComposing && text && begin()}
      />
      <button type="button" class="lw-button" disabled={busy || !text} onClick={begin}>
        Begin
      </button>
    </div>
  );
}

interface Slider {
  name: keyof Settings;
  label: string;
  max: number;
  step: number;
  help: string;
}

const SLIDERS: readonly Slider[] = [
  {
    name: "temperature",
    label: "Temperature",
    max: 2,
    step: 0.05,
    help: "0 takes the likeliest; more levels them out",
  },
  { name: "top_k", label: "Top k", max: 100, step: 1, help: "so many of the likeliest; 0 is all" },
  { name: "top_p", label: "Top p", max: 1, step: 0.01, help: "the likeliest that reach this together; 1 is all" },
  { name: "min_p", label: "Min p", max: 1, step: 0.01, help: "at least this share of the likeliest; 0 is all" },
];

interface SlidersProps {
  settings: Settings;
  usual: Settings;
  onChange: (settings: Settings) => void;
}

function Sliders({ settings, usual, onChange }: SlidersProps) {
  const id = useUniqueId();
  return (
    <fieldset class="lw-bare lw-sliders" aria-label="How the next token is drawn">
      {SLIDERS.map(({ name, label, max, step, help }) => (
        <div key={name}>
          <div class="lw-row">
            <label for={`${id}${name}`} class="lw-grow">
              {label}
            </label>
            <output for={`${id}${name}`}>{settings[name]}</output>
          </div>
          <input
            id={`${id}${name}`}
            type="range"
            min={0}
            max={Math.max(max, usual[name])}
            step={step}
            value={settings[name]}
            aria-describedby={`${id}${name}-help`}
            onInput={({ currentTarget }) => onChange({ ...settings, [name]: currentTarget.valueAsNumber })}
          />
          <div class="lw-muted lw-small" id={`${id}${name}-help`}>
            {help}
          </div>
        </div>
      ))}
    </fieldset>
  );
}

const CUTS: Record<Cut, string> = {
  "": "",
  temperature: "not the likeliest",
  top_k: "cut by top k",
  top_p: "cut by top p",
  min_p: "cut by min p",
};

interface BarsProps extends ReturnType<typeof chances> {
  steps: Of<"steps">;
  disabled: boolean;
  onTake: (token: number) => void;
}

function Bars({ steps, shown, others, disabled, onTake }: BarsProps) {
  const [all, setAll] = useState(false);
  useEffect(() => setAll(false), [steps]);
  const listed = Math.min(shown.length, all ? MANY : FEW);
  const rest = { ...others };
  for (const { before, after } of shown.slice(listed)) {
    rest.count += 1;
    rest.kept += after > 0 ? 1 : 0;
    rest.before += before;
    rest.after += after;
  }
  return (
    <section class="lw-alternatives lw-bars" aria-label="What may come next">
      <p class="lw-small lw-muted lw-row lw-key">
        <span class="lw-chance" aria-hidden="true">
          <i data-before style={{ width: "100%" }} />
        </span>
        as the model says
        <span class="lw-chance" aria-hidden="true">
          <i style={{ width: "100%" }} />
        </span>
        as it will be drawn
      </p>
      <ul>
        {shown.slice(0, listed).map((chance, index) => (
          // The rows stay, and the keyboard with them.
          <li key={index}>
            <button
              type="button"
              data-cut={chance.cut || undefined}
              aria-label={named(steps.texts[index] as string, chance)}
              {...unless(disabled, () => onTake(steps.tokens[index] as number))}
            >
              <span class="lw-fixed lw-ellipsis">{visible(steps.texts[index] as string)}</span>
              <Both {...chance} />
            </button>
          </li>
        ))}
        {rest.count > 0 && (
          <li>
            <div class="lw-others">
              <span class="lw-muted lw-ellipsis">{count(rest.count)} others</span>
              <Both before={rest.before} after={rest.after} cut="" />
            </div>
          </li>
        )}
      </ul>
      {shown.length > FEW && (
        <button type="button" class="lw-quiet" aria-expanded={all} onClick={() => setAll(!all)}>
          {all ? "Show fewer" : "Show more"}
        </button>
      )}
    </section>
  );
}

function named(text: string, { before, after, cut }: Chance): string {
  return `Take ${visible(text)}, ${share(before)} before, ${cut ? CUTS[cut] : `${share(after)} after`}`;
}

function Both({ before, after, cut }: Chance) {
  return (
    <>
      <span class="lw-chance">
        <i data-before style={{ width: `${100 * before}%` }} />
        <i style={{ width: `${100 * after}%` }} />
      </span>
      <span class="lw-figure lw-muted">{share(before)}</span>
      <span class="lw-figure lw-what">{cut ? CUTS[cut] : share(after)}</span>
    </>
  );
}
