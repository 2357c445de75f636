// What a field shows for a value, and which value is in what it shows. Whether that can be is the kernel's to say.

import { count } from "../../format";
import type { Preset, Setting } from "../../messages";

export type Values = Readonly<Record<string, unknown>>;

const ESCAPES: Record<string, string> = { "\\": "\\\\", "\n": "\\n", "\t": "\\t" };
const UNESCAPES: Record<string, string> = { n: "\n", t: "\t" };

export function toText({ kind }: Pick<Setting, "kind">, value: unknown): string {
  if (value === null || value === undefined) return "";
  if (kind === "lines" && Array.isArray(value)) {
    // A line each, so the breaks within them must be written out.
    return value.map((line) => String(line).replace(/[\\\n\t]/g, (sign) => ESCAPES[sign] ?? sign)).join("\n");
  }
  if (kind === "json") return same(value, {}) ? "" : JSON.stringify(value, null, 2);
  return String(value);
}

/** What cannot be read is returned as it is: the kernel refuses it, and says what it should be. */
export function fromText({ kind, empty, default: usual }: Pick<Setting, "kind" | "empty" | "default">, text: string) {
  const trimmed = text.trim();
  if (trimmed === "" && empty) return null;
  switch (kind) {
    case "number": {
      const number = Number(trimmed);
      return trimmed === "" || !Number.isFinite(number) ? trimmed : number;
    }
    case "lines":
      return text
        .split("\n")
        .filter((line) => line !== "")
        .map((line) => line.replace(/\\(.)/g, (_, sign: string) => UNESCAPES[sign] ?? sign));
    case "json":
      try {
        return trimmed === "" ? usual : JSON.parse(text);
      } catch {
        return text;
      }
    default:
      return text;
  }
}

export function same(one: unknown, other: unknown): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}

/** "0 to 5, default 0.8." */
export function facts({ kind, low, high, default: usual }: Setting): string {
  if (kind !== "number") return "";
  const bounds = low == null ? "" : high == null ? `At least ${limit(low)}` : `${limit(low)} to ${limit(high)}`;
  const fallback = usual === null ? "empty" : typeof usual === "number" ? limit(usual) : String(usual);
  return bounds ? `${bounds}, default ${fallback}.` : `Default ${fallback}.`;
}

const limit = (value: number) => (Number.isInteger(value) ? count(value) : String(value));

/** The preset whose settings are those of the panel: the one that was chosen last, or the one that says most. */
export function matching(presets: readonly Preset[], values: Values, chosen: string): Preset | undefined {
  const size = ({ settings }: Preset) => Object.keys(settings).length;
  const fitting = presets.filter(({ settings }) =>
    Object.entries(settings).every(([name, value]) => same(value, values[name])),
  );
  return fitting.find(({ name }) => name === chosen) ?? fitting.sort((one, other) => size(other) - size(one))[0];
}
