// A widget model and a kernel as the front end sees them, with what was sent to look at.

import type { AnyModel } from "@anywidget/types";

type Callback = (...args: unknown[]) => void;

export class MockModel<T extends Record<string, unknown> = Record<string, unknown>> {
  readonly model_id: string;
  readonly sent: Record<string, unknown>[] = [];
  comm_live = true;
  widget_manager: Record<string, unknown>;
  #traits: Record<string, unknown>;
  #callbacks = new Map<string, Set<Callback>>();

  constructor(traits: Partial<T> = {}, { id = "model-1", manager = {} } = {}) {
    this.#traits = { ...traits };
    this.model_id = id;
    this.widget_manager = manager;
  }

  get as(): AnyModel<T> {
    return this as unknown as AnyModel<T>;
  }

  get<K extends keyof T & string>(name: K): T[K] {
    return this.#traits[name] as T[K];
  }

  /** As Backbone's: returns the model. The views must never set anything. */
  set(values: Record<string, unknown>): this {
    if (Object.keys(values).length) throw new Error("the browser never writes a trait");
    return this;
  }

  save_changes(): void {
    throw new Error("the browser never writes a trait");
  }

  on(name: string, callback: Callback): void {
    const known = this.#callbacks.get(name) ?? new Set();
    this.#callbacks.set(name, known.add(callback));
  }

  off(name: string, callback: Callback): void {
    this.#callbacks.get(name)?.delete(callback);
  }

  send(message: Record<string, unknown>): void {
    this.sent.push(message);
  }

  get listeners(): number {
    return [...this.#callbacks.values()].reduce((sum, { size }) => sum + size, 0);
  }

  /** The kernel sends a message. */
  receive(message: unknown): void {
    for (const callback of [...(this.#callbacks.get("msg:custom") ?? [])]) callback(message, []);
  }

  /** The kernel changes traits. */
  change(traits: Partial<T>): void {
    Object.assign(this.#traits, traits);
    for (const name of Object.keys(traits)) {
      for (const callback of [...(this.#callbacks.get(`change:${name}`) ?? [])]) callback();
    }
  }

  /** The kernel is restarted: what is sent now goes nowhere. */
  disconnect(): void {
    this.comm_live = false;
    for (const callback of this.#callbacks.get("comm_live_update") ?? []) callback();
  }

  last(type: string): Record<string, unknown> | undefined {
    return this.sent.findLast((message) => message.type === type);
  }
}

export class MockComm {
  readonly sent: Record<string, unknown>[] = [];
  isDisposed = false;
  opened = false;
  subshellStarted: Promise<unknown>;

  constructor(subshellStarted: Promise<unknown> = Promise.resolve()) {
    this.subshellStarted = subshellStarted;
  }

  open(): void {
    this.opened = true;
  }

  send(message: Record<string, unknown>): void {
    if (!this.opened) throw new Error("sent before it was open");
    this.sent.push(message);
  }
}

let kernels = 0;
function newKernelId(): string {
  kernels += 1;
  return `kernel-${kernels}`;
}

type Slot = (sender: unknown, value: string) => void;

export class MockSignal {
  readonly slots = new Set<Slot>();

  connect(slot: Slot): void {
    this.slots.add(slot);
  }

  disconnect(slot: Slot): void {
    this.slots.delete(slot);
  }

  emit(value: string): void {
    for (const slot of this.slots) slot(this, value);
  }
}

export class MockKernel {
  readonly id = newKernelId();
  readonly comms: MockComm[] = [];
  supportsSubshells = true;
  info = Promise.resolve();
  subshellStarted: Promise<unknown> = Promise.resolve();
  readonly connectionStatusChanged = new MockSignal();

  createComm(): MockComm {
    const comm = new MockComm(this.subshellStarted);
    this.comms.push(comm);
    return comm;
  }
}

// jsdom lays nothing out, so nothing ever changes its size.
globalThis.ResizeObserver = class {
  observe(): void {}
  unobserve(): void {}
  disconnect(): void {}
};

/** Lets promises, frames and effects that are due have their turn. */
export async function settled(): Promise<void> {
  for (let turn = 0; turn < 3; turn += 1) {
    await new Promise((done) => requestAnimationFrame(done));
    await new Promise((done) => setTimeout(done));
  }
}
