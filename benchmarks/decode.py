"""Decode speed and time to the first token: ours, a bare loop over the C API, and llama-cpp-python's own high level."""

from __future__ import annotations

import itertools
import statistics
from typing import TYPE_CHECKING, Any

from benchmarks.sides import sides
from benchmarks.subjects import subjects
from benchmarks.table import Row

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from benchmarks.sides import Apart
    from benchmarks.subjects import Subject

SLICE = 128
"""Tokens of a turn. Ours begins one by waking the worker's thread, which nobody does who does not take turns."""
LONG = ({128: 6, 1024: 1, 4096: 1}, {128: 6, 1024: 1}, {128: 6, 1024: 1, 4096: 1})
ROUNDS = (*LONG, *[{128: 6}] * 9)
"""How often answers of each length are made; a long one counts for the shorter ones too.

Each round has processes of its own: two of the same kind differ by up to 2 % for as long as they live, by where their
memory happens to lie.
"""
LENGTHS = tuple(ROUNDS[0])
ORDERS = tuple(itertools.permutations(range(3)))
FIRSTS = 20
LOADS = 9
TOPICS = ("llamas", "bread")
QUESTIONS = (
    "Write the numbers from one to three hundred in words, separated by commas.",
    "List all cities of the world with their populations.",
    "Tell me a very long story about a llama.",
)
"""The likeliest answers to these go on for ever, here; where one ends, the next is tried."""

Slices = list[tuple[float, float, float]]
"""Seconds per token of each side, slice after slice."""


def rows() -> Iterator[Row]:
    """Yield a row for each length, model and opponent, and for the first token."""
    for subject in subjects():
        passes: list[Slices] = []
        firsts: list[Row] = []
        for number, counts in enumerate(ROUNDS):
            three = sides(subject.path, _threads())
            try:
                passes += [_pass(three, length, at) for length, count in counts.items() for at in range(count)]
                if not number:
                    firsts = [*_after_load(subject, three), *_firsts(subject, three)]
            finally:
                for side in three:
                    side.close()
        yield from _speeds(subject, passes)
        yield from firsts


def _pass(three: Sequence[Apart], length: int, first: int) -> Slices:
    """Let the sides make the same answer of ``length`` tokens, taking turns in all orders, from number ``first`` on.

    Who comes after whom matters: OpenMP's threads go on waiting in circles for some time after a turn.
    """
    for question in QUESTIONS:
        try:
            for side in three:
                side.begin([{"role": "user", "content": question}])
            slices = [_slice(three, first + number) for number in range(length // SLICE)]
        except EOFError:
            continue
        finally:
            for side in three:
                side.end()
        if len({side.prompt_tokens for side in three}) > 1:
            raise RuntimeError(f"The sides read different prompts: {[side.prompt_tokens for side in three]} tokens.")
        return slices
    raise RuntimeError("All answers ended early: there is nothing to measure.")


def _slice(three: Sequence[Apart], number: int) -> tuple[float, float, float]:
    times = [0.0] * 3
    for at in ORDERS[number % len(ORDERS)]:
        tokens, seconds = three[at].advance(SLICE)
        times[at] = seconds / tokens
    ours, bare, high_level = times
    return ours, bare, high_level


def _speeds(subject: Subject, passes: list[Slices]) -> Iterator[Row]:
    """Compare slices of the same turn: the machine drifts less within one than over an answer."""
    for opponent, least, name in ((1, 0.98, "bare loop"), (2, 1.0, "create_chat_completion")):
        before = 0.0
        for length in LENGTHS:
            slices = [each for made in passes if len(made) * SLICE >= length for each in made[: length // SLICE]]
            ratio = statistics.median(each[opponent] / each[0] for each in slices)
            speed, other = (len(slices) / sum(each[side] for each in slices) for side in (0, opponent))
            grows = " and growing" if opponent == 2 else ""
            met = ratio >= least and (not grows or ratio > before)
            what = f"{subject.name}: decode, {length:,} tokens, bare: {name}"
            yield Row(what, "tokens/s", speed, other, f"ratio ≥ {least:g}{grows}", met, ratio)
            before = ratio


def _firsts(subject: Subject, three: Sequence[Apart]) -> Iterator[Row]:
    """Measure a prompt that is new to all, and the next question of a chat after another chat had its turn."""
    new = [
        [
            {"role": "system", "content": f"{number}: you are brief."},
            {"role": "user", "content": "Why is the sky blue?"},
        ]
        for number in range(FIRSTS)
    ]
    chats = [[{"role": "system", "content": f"You know all of {topic}, and you are brief."}] for topic in TOPICS]
    turns = []
    for number in range(FIRSTS):
        chat = chats[number % len(chats)]
        chat.append({"role": "user", "content": f"And what of number {number}?"})
        turns.append([*chat])
        chat.append({"role": "assistant", "content": "Nothing is known of it."})
    for name, prompts in (("a prompt like no other", new), ("a question, two chats in turns", turns)):
        times = [_first(three, messages, number) for number, messages in enumerate(prompts)][len(chats) :]
        yield from _first_rows(subject, name, times)


def _after_load(subject: Subject, three: Sequence[Apart]) -> Iterator[Row]:
    """Measure the first question that a model is asked."""
    times = []
    for number in range(LOADS):
        for side in three:
            side.reload()
        times.append(_first(three, [{"role": "user", "content": "Why is the sky blue?"}], number))
    yield from _first_rows(subject, "a short prompt after a load", times)


def _first_rows(subject: Subject, name: str, times: list[list[float]]) -> Iterator[Row]:
    for opponent, other, most in ((1, "bare loop", None), (2, "create_chat_completion", 0.7)):
        ratio = statistics.median(taken[0] / taken[opponent] for taken in times)
        ours, bare = (statistics.median(taken[side] for taken in times) for side in (0, opponent))
        what = f"{subject.name}: first token of {name}, bare: {other}"
        yield Row(what, "ms", ours, bare, f"ratio ≤ {most}" if most else "", not most or ratio <= most, ratio)


def _first(three: Sequence[Apart], messages: list[dict[str, Any]], number: int) -> list[float]:
    taken = [0.0] * 3
    for at in ORDERS[number % len(ORDERS)]:
        taken[at] = three[at].begin(messages) * 1000
        three[at].end()
    return taken


def _threads() -> int:
    """Return as many threads as there are cores: what else runs here waits for its turn."""
    from llama_widgets.engines.native import physical_cores

    return physical_cores()
