// Puts code into the notebook, where the front end lets a widget do that: JupyterLab and Notebook 7, whose widget manager
// knows the document. It is feature-detected, as it is documented nowhere.

import type { AnyModel } from "@anywidget/types";
import { modelId } from "./transport";
import { COPIED_MS, copy } from "./ui";

export interface Output {
  output_type?: string;
  data?: Record<string, unknown>;
  metadata?: object;
}

interface Cell {
  id?: string;
  getOutputs?(): Output[];
  setOutputs?(outputs: Output[]): void;
}

interface Notebook {
  cells: readonly Cell[];
  insertCell(index: number, cell: { cell_type: "code"; source: string; metadata: object }): unknown;
}

const WIDGET = "application/vnd.jupyter.widget-view+json";
/** Frames until a new cell is drawn; it takes two or three. */
const FRAMES = 60;

interface Host {
  context?: { model?: { sharedModel?: Partial<Notebook> } };
}

function notebookOf(model: AnyModel): Notebook | null {
  const shared = (model.widget_manager as Host | undefined)?.context?.model?.sharedModel;
  return shared?.cells && typeof shared.insertCell === "function" ? (shared as Notebook) : null;
}

/** Inserts a cell with the code, or copies it where that cannot be; tells `say` what happened, and for how long. */
export async function insertOrCopy(
  model: AnyModel,
  within: Element,
  code: string,
  say: (text: string, duration: number) => void,
): Promise<void> {
  if (await insertBelow(model, within, code)) say("Inserted", COPIED_MS);
  else if (await copy(code)) say("Copied: paste it into a new cell", 3 * COPIED_MS);
}

/**
 * Inserts a code cell below the one that shows the widget, and puts the cursor into it: Shift+Enter runs it. Nothing runs
 * by itself, so that nobody runs what a model wrote without having it before their eyes. Returns whether it could.
 */
async function insertBelow(model: AnyModel, within: Element, code: string): Promise<boolean> {
  const notebook = notebookOf(model);
  if (!notebook) return false;
  const drawn = within.closest("[data-windowed-list-index]");
  const shown = drawn ? Number(drawn.getAttribute("data-windowed-list-index")) : cellShowing(notebook, model);
  const index = shown < 0 ? notebook.cells.length : shown + 1;
  notebook.insertCell(index, { cell_type: "code", source: code, metadata: {} });
  await focusCell(drawn?.parentElement, index, code);
  return true;
}

/** The cell in whose output the widget stands, also where it is shown elsewhere too; -1 if there is none. */
function cellShowing(notebook: Notebook, model: AnyModel): number {
  const id = modelId(model);
  return notebook.cells.findIndex((cell) => cell.getOutputs?.().some((output) => shows(output, id)));
}

function shows({ data }: Output, id: string | undefined): boolean {
  return (data?.[WIDGET] as { model_id?: string } | undefined)?.model_id === id;
}

/**
 * Puts `data` where the notebook shows the widget, or where it shows nothing, into the cell with the id `lost` if that has
 * no output. Returns whether the notebook could be reached.
 */
export function settleOutput(model: AnyModel, data: Record<string, unknown>, lost: string): boolean {
  const notebook = notebookOf(model);
  if (!notebook) return false;
  const id = modelId(model);
  const made: Output = { output_type: "display_data", data, metadata: {} };
  let found = false;
  for (const cell of notebook.cells) {
    const outputs = cell.getOutputs?.() ?? [];
    if (!outputs.some((output) => shows(output, id))) continue;
    cell.setOutputs?.(outputs.map((output) => (shows(output, id) ? made : output)));
    found = true;
  }
  const cell = lost && !found ? notebook.cells.find((each) => each.id === lost) : undefined;
  if (cell?.getOutputs?.().length === 0) cell.setOutputs?.([made]);
  return true;
}

async function focusCell(list: Element | null | undefined, index: number, code: string): Promise<void> {
  const first = code.split("\n", 1)[0] ?? "";
  for (let frame = 0; list && frame < FRAMES; frame += 1) {
    await new Promise(requestAnimationFrame);
    const editor = list.querySelector<HTMLElement>(`[data-windowed-list-index="${index}"] .cm-content`);
    if (editor?.textContent?.includes(first)) return editor.focus();
  }
}
