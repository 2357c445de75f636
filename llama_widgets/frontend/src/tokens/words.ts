// Tokens and figures in words.

import { count } from "../format";

/** "␣molecules", "↵": what is in a token, where it stands alone. */
export function visible(text: string): string {
  return text.replaceAll(" ", "␣").replaceAll("\n", "↵").replaceAll("\t", "⇥");
}

/** "1 token", "2,000 tokens". */
export function some(number: number, thing: string): string {
  return `${count(number)} ${thing}${number === 1 ? "" : "s"}`;
}

/** "11.4 %", "0.03 %", "under 0.01 %". */
export function share(p: number): string {
  const percent = 100 * p;
  if (percent === 0) return "0 %";
  if (percent < 0.01) return "under 0.01 %";
  return `${percent >= 99.95 ? Number(percent.toFixed(2)) : percent.toFixed(percent < 1 ? 2 : 1)} %`;
}

/** How surprising a token is, in bits: 1 is a coin that falls on one side. */
export function bits(logprob: number): string {
  return `${Math.abs(logprob / Math.LN2).toFixed(1)} bits`;
}

export type Likeliness = "likely" | "possible" | "surprising";

/** Twin: `likeliness` in ../../../widgets/tokens_html.py. */
export function likeliness(logprob: number | null): Likeliness | undefined {
  if (logprob === null) return undefined;
  return logprob >= Math.log(0.5) ? "likely" : logprob >= Math.log(0.15) ? "possible" : "surprising";
}
