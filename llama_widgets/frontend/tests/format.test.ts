import { expect, it } from "vitest";
import { contextUsed, footer } from "../src/chat/status";
import { downloadText, spoken } from "../src/download/row";
import { bytes, bytesOf, count, duration, percent, roughBytes, shortTime, speed } from "../src/format";
import type { Download } from "../src/messages";
import { timings as readTimings, usage as readUsage } from "../src/protocol";

it.each([
  [0, "0 B"],
  [999, "999 B"],
  [999.6, "1.00 kB"],
  [98_300_000, "98.3 MB"],
  [999_600_000, "1.00 GB"],
  [2_500_000_000, "2.50 GB"],
  [42_520_000_000, "42.5 GB"],
  [120_000_000_000, "120 GB"],
])("%d bytes are %s", (value, text) => expect(bytes(value)).toBe(text));

it("says both amounts in the unit of the whole", () => {
  expect(bytesOf(1_620_000_000, 2_500_000_000)).toBe("1.62 of 2.50 GB");
  expect(bytesOf(5_000_000, 2_500_000_000)).toBe("0.01 of 2.50 GB");
  expect(bytesOf(5_000_000, null)).toBe("5.00 MB");
});

it("rounds what is only about right", () => {
  expect(roughBytes(2_512_345_678)).toBe("2.5 GB");
  expect(roughBytes(48_123_456)).toBe("48 MB");
});

it.each([
  [0.4, "0 s"],
  [18, "18 s"],
  [59.7, "1 min"],
  [125, "2 min 5 s"],
  [4800, "1 h 20 min"],
  [7199, "2 h"],
])("%d seconds are %s", (value, text) => expect(duration(value)).toBe(text));

it("tells times, speeds and counts", () => {
  expect([shortTime(0.314), shortTime(2.44), shortTime(12.4)]).toEqual(["0.31 s", "2.4 s", "12 s"]);
  expect([speed(3.84), speed(38.2)]).toEqual(["3.8", "38"]);
  expect(count(8192)).toBe("8,192");
});

it("stays between 0 and 100 per cent, and says nothing of an unknown total", () => {
  expect([percent(5, 10), percent(11, 10), percent(999, 1000), percent(5, null), percent(0, 0)]).toEqual([
    50,
    100,
    99,
    null,
    null,
  ]);
});

const usage = readUsage({ prompt_tokens: 1204, cached_tokens: 812, completion_tokens: 96 }, "usage");
const timings = readTimings({ ttft_s: 0.31, prefill_tps: 900, decode_tps: 38.2 }, "timings");
const turn = { id: "t", role: "assistant", content: "x" } as const;

it("says under an answer what it cost", () => {
  expect(footer({ ...turn, stop_reason: "eos", usage, timings })).toBe(
    "38 tokens/s · first token 0.31 s · 96 tokens · 812 of 1,204 reused",
  );
  expect(footer({ ...turn, stop_reason: "abort", usage: { ...usage, completion_tokens: 1 } })).toBe(
    "1 token · 812 of 1,204 reused · stopped",
  );
  expect(footer({ ...turn, stop_reason: "max_tokens" })).toBe("cut at max tokens");
  expect(footer(turn)).toBe("");
});

it("knows the used context from the last answer that tells it", () => {
  expect(contextUsed([{ ...turn, usage }, turn])).toBe(1300);
  expect(contextUsed([])).toBeNull();
});

it("tells how far a download is", () => {
  const download: Download = {
    id: "d",
    name: "a.gguf",
    model: "hf:u/r",
    state: "downloading",
    done: 1_620_000_000,
    total: 2_500_000_000,
    rate: 48_000_000,
    eta_s: 18.3,
    free_after: 212_000_000_000,
    note: "",
    error: null,
  };
  expect(downloadText(download)).toBe("1.62 of 2.50 GB · 48 MB/s · 18 s left · 212 GB free after");
  expect(downloadText({ ...download, state: "paused" })).toBe("1.62 of 2.50 GB · paused");
  expect(downloadText({ ...download, state: "done" })).toBe("2.50 GB · done");
  expect(downloadText({ ...download, total: null, eta_s: null, free_after: null })).toBe("1.62 GB · 48 MB/s");
});

it("says of a download each quarter and the end", () => {
  const at = (done: number, state = "downloading") => spoken({ name: "m.gguf", state, done, total: 100 } as Download);
  expect([0, 24, 25, 49, 50, 99].map((done) => at(done))).toEqual([
    "",
    "",
    "m.gguf: 25 %",
    "m.gguf: 25 %",
    "m.gguf: 50 %",
    "m.gguf: 75 %",
  ]);
  expect([at(30, "paused"), at(100, "done"), at(30, "cancelled")]).toEqual(["", "m.gguf is here", ""]);
});
