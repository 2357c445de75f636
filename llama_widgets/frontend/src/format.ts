// Numbers in words: one way each, everywhere.

const grouped = new Intl.NumberFormat("en");

export function count(value: number): string {
  return grouped.format(Math.round(value));
}

const UNITS = ["B", "kB", "MB", "GB", "TB"] as const;

function unitOf(value: number): number {
  let unit = 0;
  // 999.5 would be rounded to 1000 of this unit
  for (let rest = value; rest >= 999.5 && unit < UNITS.length - 1; rest /= 1000) unit += 1;
  return unit;
}

function inUnit(value: number, unit: number): string {
  const scaled = value / 1000 ** unit;
  if (unit === 0) return String(Math.round(scaled));
  return scaled >= 99.95 ? scaled.toFixed(0) : scaled >= 9.995 ? scaled.toFixed(1) : scaled.toFixed(2);
}

/** "98.3 MB", "2.50 GB": decimal units, as hubs and file browsers count. */
export function bytes(value: number): string {
  const unit = unitOf(value);
  return `${inUnit(value, unit)} ${UNITS[unit]}`;
}

/** "2.5 GB": for what is only about right. */
export function roughBytes(value: number): string {
  const unit = unitOf(value);
  const scaled = value / 1000 ** unit;
  return `${scaled >= 9.95 || unit === 0 ? scaled.toFixed(0) : scaled.toFixed(1)} ${UNITS[unit]}`;
}

/** "1.62 of 2.50 GB": both in the unit of the second. */
export function bytesOf(done: number, total: number | null): string {
  if (total === null) return bytes(done);
  const unit = unitOf(total);
  return `${inUnit(done, unit)} of ${inUnit(total, unit)} ${UNITS[unit]}`;
}

export function byteRate(value: number): string {
  return `${roughBytes(value)}/s`;
}

/** "4.02 billion", "135 million". */
export function roughCount(value: number): string {
  for (const [name, size] of [
    ["billion", 1e9],
    ["million", 1e6],
  ] as const) {
    if (value >= size) return `${Number((value / size).toPrecision(3))} ${name}`;
  }
  return count(value);
}

/** "8k": tokens of a context, of which 1k are 1,024. */
export function shortContext(tokens: number): string {
  return tokens < 1024 ? String(tokens) : `${Number((tokens / 1024).toPrecision(3))}k`;
}

/** "9 May 2025", of seconds since 1970. */
export function day(seconds: number): string {
  return new Date(seconds * 1000).toLocaleDateString("en-GB", { day: "numeric", month: "long", year: "numeric" });
}

/** "18 s", "2 min 5 s", "1 h 20 min". */
export function duration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return whole % 60 ? `${Math.floor(whole / 60)} min ${whole % 60} s` : `${whole / 60} min`;
  const minutes = Math.round(whole / 60);
  return minutes % 60 ? `${Math.floor(minutes / 60)} h ${minutes % 60} min` : `${minutes / 60} h`;
}

/** "0.31 s", "2.4 s", "12 s": for times that are looked at closely. */
export function shortTime(seconds: number): string {
  return `${seconds < 1 ? seconds.toFixed(2) : seconds < 10 ? seconds.toFixed(1) : seconds.toFixed(0)} s`;
}

/** "41" or "3.8" tokens a second. */
export function speed(perSecond: number): string {
  return perSecond < 10 ? perSecond.toFixed(1) : count(perSecond);
}

export function percent(done: number, total: number | null): number | null {
  return total ? Math.min(100, Math.max(0, Math.floor((100 * done) / total))) : null;
}
