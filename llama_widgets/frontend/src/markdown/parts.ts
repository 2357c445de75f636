// Code that few pages need and that is fetched from the kernel when one first does: colours for code, mathematics, some
// widgets. Twin: ../../../widgets/bundle.py.

import type * as Highlight from "../parts/highlight";
import type * as MathPart from "../parts/math";
import type { Widget } from "../widgets";

/** The names of widgets that are parts. */
export type WidgetPart = "compare" | "sweep" | "tokens";

export interface PartModules extends Record<WidgetPart, { default: () => Widget }> {
  highlight: typeof Highlight;
  math: typeof MathPart;
}
export type PartName = keyof PartModules;

// Once per page: this file is evaluated once for all widgets and kernels whose code is the same (see ../loader.ts).
const here: Partial<PartModules> = {};
const waiting = new Map<PartName, Set<() => void>>();
/** Who has asked, by kernel: while he can still hear an answer, nobody else of that kernel asks. */
const asked = new Map<string, Parts>();

export interface PartsOptions {
  /** Tells widgets of one kernel from those of another. */
  kernel: string;
  /** Asks the kernel for a part, whose code is then to be given to `take`. */
  ask: (name: PartName) => void;
  /** Whether an answer can still come. */
  alive: () => boolean;
}

/** One widget's way to the parts. */
export class Parts {
  #options: PartsOptions;

  constructor(options: PartsOptions) {
    this.#options = options;
  }

  get alive(): boolean {
    return this.#options.alive();
  }

  /** Returns a part if it is here. Else it is asked for, and `onHere` is called once when it has come. */
  get<N extends PartName>(name: N, onHere: () => void): PartModules[N] | undefined {
    const module = here[name];
    if (module) return module;
    const others = waiting.get(name) ?? new Set();
    waiting.set(name, others.add(onHere));
    const key = `${this.#options.kernel} ${name}`;
    if (!asked.get(key)?.alive) {
      asked.set(key, this);
      this.#options.ask(name);
    }
    return undefined;
  }

  /** Takes a part that the kernel has sent. */
  async take({ name, code, css }: { name: PartName; code: string; css: string }): Promise<void> {
    if (here[name]) return;
    // What a widget shares with the others it imports from the module that this is in.
    const linked = code.replaceAll('"llama-widgets-core"', JSON.stringify(import.meta.url));
    const url = URL.createObjectURL(new Blob([linked], { type: "text/javascript" }));
    try {
      const module = await import(url);
      const style = document.createElement("style");
      style.textContent = css;
      document.head.append(style);
      supply(name, module);
    } catch (error) {
      console.warn(`[llama_widgets] ${name} cannot be used here`, error);
    } finally {
      URL.revokeObjectURL(url);
    }
  }
}

/** Gives a part to all that wait for it. */
export function supply<N extends PartName>(name: N, module: PartModules[N]): void {
  here[name] ??= module;
  const ready = waiting.get(name) ?? [];
  waiting.delete(name);
  for (const onHere of ready) onHere();
}

/** Forgets all parts, as a new page would. */
export function forget(): void {
  for (const name of Object.keys(here) as PartName[]) delete here[name];
  waiting.clear();
  asked.clear();
}
