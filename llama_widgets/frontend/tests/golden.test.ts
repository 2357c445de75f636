// The wire, held to the same golden messages as the Python side (tests/unit/test_golden.py).

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, vi } from "vitest";
import { COMMANDS, FROM_VIEW } from "../src/commands";
import { INCOMING, TO_VIEW } from "../src/messages";
import { EVENTS } from "../src/protocol";
import * as sweep from "../src/sweep/messages";
import { decode, receive, type Table, WireError } from "../src/wire";

const read = (name: string) => JSON.parse(readFileSync(join(__dirname, "../../../tests/golden", name), "utf8"));
const view = read("view.json");
const malformed = read("malformed.json");

const own = Object.fromEntries(Object.entries(FROM_VIEW).filter(([type]) => !(type in COMMANDS)));
const groups: [string, Table, { type: string; request_id: string }[]][] = [
  ["commands", COMMANDS, read("commands.json")],
  ["events", EVENTS, read("events.json")],
  ["from_view", own, view.from_view],
  ["to_view", TO_VIEW, view.to_view],
];

// What single widgets say and hear beside it, by the names of their files.
type Own = { FROM_VIEW: Table; TO_VIEW: Table };
for (const [name, own] of Object.entries<Own>({ sweep })) {
  const { from_view, to_view, malformed: bad } = read(`${name}.json`);
  const sent = Object.entries(own.FROM_VIEW).filter(([type]) => !(type in FROM_VIEW));
  groups.push([`${name} from_view`, Object.fromEntries(sent), from_view], [`${name} to_view`, own.TO_VIEW, to_view]);
  it.each([
    ...bad.from_view.map((each: object) => ({ ...each, table: own.FROM_VIEW })),
    ...bad.to_view.map((each: object) => ({ ...each, table: own.TO_VIEW })),
  ])(`${name} refuses: $why`, ({ message, table }) => expect(() => decode(message, table)).toThrow(WireError));
}

describe.each(groups)("%s", (_name, table, messages) => {
  it.each(messages)("$type $request_id is read as it was written", (message) => {
    expect(decode(message, table)).toEqual(message);
  });

  it("has a golden message of each type", () => {
    expect(new Set(messages.map(({ type }) => type))).toEqual(new Set(Object.keys(table)));
  });
});

it.each(malformed.from_view as { why: string; message: unknown }[])("refuses to send: $why", ({ message }) => {
  expect(() => decode(message, FROM_VIEW)).toThrow(WireError);
});

it.each(malformed.to_view as { why: string; message: unknown }[])("warns of and drops: $why", ({ message }) => {
  const warn = vi.spyOn(console, "warn").mockImplementation(() => {});
  expect(receive(message, INCOMING)).toBeNull();
  expect(warn).toHaveBeenCalledOnce();
});

describe("fills in defaults as the Python side does", () => {
  const defaults = read("defaults.json");
  const pairs = (name: string): { given: { type: string }; read: object }[] => defaults[name];

  it.each(pairs("commands"))("$given.type", ({ given, read: full }) => expect(decode(given, COMMANDS)).toEqual(full));
  it.each(pairs("events"))("$given.type", ({ given, read: full }) => expect(decode(given, EVENTS)).toEqual(full));
});
