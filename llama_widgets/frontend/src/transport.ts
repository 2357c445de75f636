// How messages get to the kernel. Twin: ../../widgets/control.py.
//
// While a cell runs, a message on a widget's own comm is handled only after it (ipykernel 6, and 7.4 as soon as the
// kernel has published on that comm from the main thread). So each page opens one comm of its own per kernel, on which
// the kernel never sends: JupyterLab gives it a subshell, and what comes over it is handled at once. Whether that works
// is known only from an answer: nothing goes that way before a `pong`, which comes back on the widget's comm.

import type { AnyModel } from "@anywidget/types";
import { CONTROL_TARGET, type FromView, INCOMING } from "./messages";
import { newId, receive, type Sent } from "./wire";

/** How long the kernel may take to answer before the user is told that it is busy. */
export const PATIENCE_MS = 500;
/** `subshellStarted` never resolves where the user has switched subshells off. */
const SUBSHELL_MS = 1500;

interface Comm {
  readonly isDisposed?: boolean;
  readonly subshellStarted?: Promise<unknown>;
  open(data?: unknown): unknown;
  send(data: unknown): unknown;
}

interface Kernel {
  readonly id: string;
  readonly info?: Promise<unknown>;
  readonly supportsSubshells?: boolean;
  createComm?(target: string): Comm;
  readonly connectionStatusChanged?: Signal<string>;
}

/** Lumino's. */
interface Signal<T> {
  connect(slot: (sender: unknown, value: T) => void): unknown;
  disconnect(slot: (sender: unknown, value: T) => void): unknown;
}

/** The control comm of one kernel, shared by all widgets of the page. */
interface Control {
  comm: Comm;
  opened: Promise<void>;
  alive: boolean;
}

const sleep = (ms: number) => new Promise<void>((done) => setTimeout(done, ms));

function controls(): Map<string, Control> {
  const page = globalThis as { __llama_widgets_controls?: Map<string, Control> };
  page.__llama_widgets_controls ??= new Map();
  return page.__llama_widgets_controls;
}

function kernelOf(model: AnyModel): Kernel | undefined {
  return (model.widget_manager as { kernel?: Kernel } | undefined)?.kernel;
}

/** What ipywidgets' own models have; anywidget's proxy hides it, but Backbone's `set` returns the model itself. */
function behind(model: AnyModel): { model_id?: unknown; comm_live?: unknown } | undefined {
  return model.set({} as never, undefined as never) as never;
}

/** The kernel's name for a model. */
export function modelId(model: AnyModel): string | undefined {
  const id = behind(model)?.model_id;
  return typeof id === "string" ? id : undefined;
}

interface Watch {
  /** The model has lost its kernel: it was restarted or shut down. */
  onGone?: () => void;
  /** The connection to the kernel was interrupted and is there again; messages may have been lost. */
  onBack?: () => void;
  signal: AbortSignal;
}

export function watchConnection(model: AnyModel, { onGone, onBack, signal }: Watch): void {
  const onChange = () => {
    if (behind(model)?.comm_live === false) onGone?.();
  };
  const onStatus = (_kernel: unknown, status: string) => {
    if (status === "connected") onBack?.();
  };
  const changed = kernelOf(model)?.connectionStatusChanged;
  model.on("comm_live_update", onChange);
  changed?.connect(onStatus);
  signal.addEventListener("abort", () => {
    model.off("comm_live_update", onChange);
    changed?.disconnect(onStatus);
  });
}

async function connect(kernel: Kernel): Promise<Control | undefined> {
  await kernel.info;
  if (!kernel.supportsSubshells || !kernel.createComm) return undefined;
  const known = controls().get(kernel.id);
  if (known && !known.comm.isDisposed) return known;
  const comm = kernel.createComm(CONTROL_TARGET);
  const opened = Promise.race([comm.subshellStarted, sleep(SUBSHELL_MS)])
    .catch(() => undefined)
    .then(() => {
      comm.open();
    });
  const control = { comm, opened, alive: false };
  controls().set(kernel.id, control);
  return control;
}

export interface TransportOptions {
  /** The model's id, where the caller knows it. */
  id?: string;
  /** Called when the control comm has proved to work. */
  onAlive?: () => void;
}

/** `Out` is what may be sent. */
export class Transport<Out extends Sent = FromView> {
  #model: AnyModel;
  #id: string | undefined;
  #onAlive: (() => void) | undefined;
  #pings = new Map<string, () => void>();

  constructor(model: AnyModel, { id, onAlive }: TransportOptions = {}) {
    this.#model = model;
    this.#id = id ?? modelId(model);
    this.#onAlive = onAlive;
    this.prove();
  }

  /** A transport that takes its pongs itself, for a model whose other messages nobody reads. */
  static listening(model: AnyModel, signal: AbortSignal, options?: TransportOptions): Transport {
    const transport = new Transport(model, options);
    const onMessage = (data: unknown) => {
      const message = receive(data, INCOMING);
      if (message?.type === "pong") transport.pong(message.request_id);
    };
    model.on("msg:custom", onMessage);
    signal.addEventListener("abort", () => model.off("msg:custom", onMessage));
    watchConnection(model, { onBack: () => transport.prove(), signal });
    return transport;
  }

  /** The name of the fastest way that is known to work. What takes the same way arrives in order. */
  get way(): "control" | "plain" {
    return this.#control() ? "control" : "plain";
  }

  /** Sends a message on the fastest way that is known to work. */
  send(message: Out): void {
    const control = this.#control();
    if (control) control.comm.send({ ...message, widget: this.#id });
    else this.#model.send(message);
  }

  /** Sends a message and returns whether the kernel answers a ping that takes the same way. */
  async sendAndProbe(message: Out): Promise<boolean> {
    const control = this.#control();
    this.send(message);
    const answered = await new Promise<boolean>((resolve) => {
      this.#ping(control, () => resolve(true));
      setTimeout(() => resolve(false), PATIENCE_MS);
    });
    if (answered) return true;
    // The plain way may be no better, but it is the one that lasts: it is taken until the control comm answers again.
    if (control) control.alive = false;
    if (!this.#control()) this.prove();
    // Only an abort can be sent twice: a question would be asked twice.
    if (message.type === "abort" && this.#control() !== control) this.send(message);
    return false;
  }

  /** Tries the control comm; to be called again when the connection has been interrupted. */
  prove(): void {
    this.#prove().catch((error) => console.debug("[llama_widgets] no control comm", error));
  }

  /** Takes a `pong`; to be called with the request id of each that arrives. */
  pong(requestId: string): void {
    this.#pings.get(requestId)?.();
    this.#pings.delete(requestId);
  }

  #control(): Control | undefined {
    const kernel = kernelOf(this.#model);
    const control = kernel && this.#id ? controls().get(kernel.id) : undefined;
    return control?.alive && !control.comm.isDisposed ? control : undefined;
  }

  /** Calls when the answer comes. However late that is, the control comm that it went over has proved to work. */
  #ping(control: Control | undefined, onAnswer: () => void): void {
    const request_id = newId();
    this.#pings.set(request_id, () => {
      if (control) control.alive = true;
      onAnswer();
    });
    if (control) control.comm.send({ type: "ping", request_id, widget: this.#id });
    else this.#model.send({ type: "ping", request_id });
  }

  async #prove(): Promise<void> {
    const kernel = kernelOf(this.#model);
    if (!kernel || !this.#id) return;
    const control = await connect(kernel);
    if (!control) return;
    await control.opened;
    // No time-out: where the kernel is busy now, the pong comes late, and the way is proved then.
    this.#ping(control, () => this.#onAlive?.());
  }
}
