// Reads what comes over the wire: a message that is not exactly as declared is warned about and dropped, so that nothing
// behind this file ever sees a half-right one. Twin: ../../wire.py; both are held to tests/golden.

export class WireError extends Error {}

/** Returns the value, typed and with its defaults filled in, or throws `WireError`. */
export type Read<T> = (value: unknown, name: string) => T;

/** A field that may be missing, with what it is then. */
interface Default<T> {
  read: Read<T>;
  fallback: T;
}

type Field<T> = Read<T> | Default<T>;
// biome-ignore lint/suspicious/noExplicitAny: a bound; every use of it infers the field's own type
export type Fields = Record<string, Field<any>>;

type Of<F> = F extends Field<infer T> ? T : never;
type Optional<F extends Fields> = { [K in keyof F]: F[K] extends Default<unknown> ? K : never }[keyof F];

/** What is there after reading. */
export type Full<F extends Fields> = { [K in keyof F]: Of<F[K]> };
/** What has to be given for writing. */
export type Given<F extends Fields> = { [K in Exclude<keyof F, Optional<F>>]: Of<F[K]> } & {
  [K in Optional<F>]?: Of<F[K]>;
};

export type Table = Record<string, Fields>;
/** Anything that is sent. */
export interface Sent {
  type: string;
  request_id: string;
}
type Head<K> = { type: K; request_id: string };
export type Incoming<T extends Table> = { [K in keyof T & string]: Head<K> & Full<T[K]> }[keyof T & string];
export type Outgoing<T extends Table> = { [K in keyof T & string]: Head<K> & Given<T[K]> }[keyof T & string];

const fail = (name: string, expected: string): never => {
  throw new WireError(`${name} must be ${expected}`);
};

export const text: Read<string> = (value, name) => (typeof value === "string" ? value : fail(name, "text"));
export const flag: Read<boolean> = (value, name) => (typeof value === "boolean" ? value : fail(name, "true or false"));
export const anything: Read<unknown> = (value) => value;

export function number(low = Number.NEGATIVE_INFINITY, high = Number.POSITIVE_INFINITY): Read<number> {
  return (value, name) =>
    typeof value === "number" && Number.isFinite(value) && value >= low && value <= high
      ? value
      : fail(name, `a number between ${low} and ${high}`);
}

export function whole(low?: number, high?: number): Read<number> {
  const read = number(low, high);
  return (value, name) => (Number.isInteger(value) ? read(value, name) : fail(name, "a whole number"));
}

export function oneOf<const T extends string | boolean>(...options: T[]): Read<T> {
  return (value, name) => {
    const found = options.find((option) => option === value);
    return found === undefined ? fail(name, options.join(" or ")) : found;
  };
}

export function either<A, B>(first: Read<A>, second: Read<B>): Read<A | B> {
  return (value, name) => {
    try {
      return first(value, name);
    } catch {
      return second(value, name);
    }
  };
}

export function nullable<T>(read: Read<T>): Read<T | null> {
  return (value, name) => (value === null ? null : read(value, name));
}

export function list<T>(read: Read<T>): Read<T[]> {
  return (value, name) =>
    Array.isArray(value) ? value.map((item, index) => read(item, `${name}[${index}]`)) : fail(name, "a list");
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** An object whose values are all read alike. */
export function record<T>(read: Read<T>): Read<Record<string, T>> {
  return (value, name) =>
    isRecord(value)
      ? Object.fromEntries(Object.entries(value).map(([key, item]) => [key, read(item, `${name}.${key}`)]))
      : fail(name, "an object");
}

/** An object with exactly these fields. */
export function object<F extends Fields>(fields: F): Read<Full<F>> {
  return (value, name) => {
    if (!isRecord(value)) return fail(name, "an object");
    for (const key of Object.keys(value)) {
      if (!Object.hasOwn(fields, key)) throw new WireError(`${key} is not a field of ${name}`);
    }
    return readFields(fields, value, name);
  };
}

/** An object with these fields, and possibly others, which are kept. */
export function open<F extends Fields>(fields: F): Read<Full<F>> {
  return (value, name) =>
    isRecord(value) ? { ...value, ...readFields(fields, value, name) } : fail(name, "an object");
}

function readFields<F extends Fields>(fields: F, value: Record<string, unknown>, name: string): Full<F> {
  const read: Record<string, unknown> = {};
  for (const [key, field] of Object.entries(fields)) {
    const path = `${name}.${key}`;
    if (typeof field === "function") read[key] = field(value[key], path);
    else read[key] = Object.hasOwn(value, key) ? field.read(value[key], path) : field.fallback;
  }
  return read as Full<F>;
}

/** A field that may be missing; what it is then is shared, so nobody changes a message. */
export function or<T>(read: Read<T>, fallback: NoInfer<T>): Default<T> {
  return { read, fallback };
}

/** Returns the message that `data` holds, or throws `WireError`. */
export function decode<T extends Table>(data: unknown, table: T): Incoming<T> {
  if (!isRecord(data)) throw new WireError("a message must be an object");
  const { type, ...values } = data;
  const fields = typeof type === "string" && Object.hasOwn(table, type) ? table[type] : undefined;
  if (fields === undefined) throw new WireError(`there is no message of type ${JSON.stringify(type)}`);
  return { type, ...object({ request_id: text, ...fields })(values, String(type)) } as Incoming<T>;
}

/** Returns the message that `data` holds; warns and returns `null` where it is none. */
export function receive<T extends Table>(data: unknown, table: T): Incoming<T> | null {
  try {
    return decode(data, table);
  } catch (error) {
    if (!(error instanceof WireError)) throw error;
    console.warn(`[llama_widgets] dropped a message: ${error.message}`, data);
    return null;
  }
}

/** A short name for a request, unlikely to be made twice. */
export function newId(): string {
  // Not crypto.randomUUID: it is missing on pages served over plain HTTP, as many hubs in class rooms are.
  const bytes = crypto.getRandomValues(new Uint8Array(8));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
