"""All answers of a model at once: one batch after the other, with a token of each that draws and slices of prompts."""

from __future__ import annotations

import time
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from ..flow import Flow
from ..requests import error_event
from .cache import Cache, common

if TYPE_CHECKING:
    from ..cancel import Cancel
    from ..protocol import StopReason
    from .answer import Answer
    from .context import Context

_FIRST_SLICE = 8
_SLICE = 128
_TILE = 64
"""From so many tokens on llama.cpp computes attention in tiles, which is twice as fast as row by row."""
_COSTS = (2.0, 1.4, 1.0)
"""What a token takes in a slice without a tile, with one, and with more, some thousand tokens deep."""
_GAP = 5.5
"""How many steps without a prompt apart the tokens of answers are told while a prompt is read."""
_SPARE = 1.25
"""How much longer than a slice is thought to take there should be something to tell."""
_HELD_S = 1.0
"""The most that a token is held back for that."""
_WORTH_WAITING = 8
_GROWTH = 32
"""Cells that each answer should have left to grow into before another one begins."""


class Scheduler:
    """Reads and draws for many answers on one context.

    Parameters
    ----------
    context : Context
        What computes.

    Notes
    -----
    Each step is one batch. An answer that draws adds one token to it; what is left of the batch goes to the prompts,
    in the order they came. Where answers draw, they do so ahead of what is told of them, until that lasts for as long
    as a slice of a prompt takes: so they keep flowing, and slices are long, in which llama.cpp reads a deep prompt two
    times as fast as in those that fit between two tokens. An answer for which there is no sequence, or no memory,
    waits.

    A model is not asked to compute what it is computing: of prompts that come together and begin alike, the first is
    read, and the others begin with a copy.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self.cache = Cache(context)
        self.flow = Flow()
        self.waiting: deque[Answer] = deque()
        self.running: list[Answer] = []
        self._stopped: deque[Answer] = deque()
        self._pace = _Pace()
        self._gap = 0.0
        self._most = context.n_seq_max

    @property
    def active(self) -> bool:
        """Whether there is anything to do."""
        return bool(self.running or self.waiting)

    def submit(self, answer: Answer) -> None:
        """Take an answer to make."""
        self.waiting.append(answer)
        answer.cancel.on_request(partial(self._interrupt, answer))

    def read_ahead(self, tokens: list[int], cancel: Cancel) -> None:
        """Read what prompts will begin with, before there are any. If that is cancelled, or fails, nothing is kept."""
        if len(tokens) < self._context.n_ctx:
            self.read(tokens, cancel)

    def read(self, tokens: list[int], cancel: Cancel, conversation: str = "") -> int | None:
        """Read ``tokens`` while no answer is made; return where the last of them has its logits.

        If that is cancelled, or fails, nothing is kept, and None is returned.
        """
        context = self._context
        context.flag.clear()  # who was stopped last may have set it after his end
        sequence, index = self.cache.take(tokens, conversation), None
        cancel.on_request(context.flag.set)
        while (start := len(sequence.tokens)) < len(tokens):
            part = tokens[start : start + min(context.room, context.most_read(start))]
            index = context.add(part, start, sequence.id, draw=start + len(part) == len(tokens))
            result = context.decode()
            if result == "no_room" and self.cache.make_room():
                continue
            if result != "done":
                self.cache.forget(sequence)
                index = None
                break
            sequence.tokens.extend(part)
        self.cache.release(sequence)
        return index

    def step(self) -> bool:
        """Evaluate one batch and draw from it; return whether there is more to do."""
        # In this order: what is asked to stop from here on sets the flag again, and is seen in the next step.
        self._context.flag.clear()
        while self._stopped:
            answer = self._stopped.popleft()
            if answer in self.running or answer in self.waiting:
                self._end(answer, "abort")
        if self.waiting:
            self._admit()
        if self.running:
            self._evaluate()
        return self.active

    def _evaluate(self) -> None:
        """Put a batch together, compute it, and draw."""
        parts = self._fill()
        begun = time.perf_counter()
        try:
            result = self._context.decode()
        except Exception as error:  # noqa: BLE001 - nothing in the memory can be trusted: end all that is in it
            for answer in tuple(self.running):
                self._fail(answer, error)
            self.cache.clear()
            return
        if result == "aborted":
            self._cut_back(parts)
        elif result == "no_room":
            self._make_room()
        else:
            seconds = time.perf_counter() - begun
            self._pace.learn(seconds, parts, usual=not self._gap)
            self._advance(parts, seconds)

    def close(self) -> None:
        """Drop everything."""
        for answer in (*self.running, *self.waiting):
            answer.close()
        self.running.clear()
        self.waiting.clear()
        self.flow.close()

    def _interrupt(self, answer: Answer) -> None:
        """End the evaluation that runs, from the thread that aborts ``answer``, whoever else takes part in it."""
        self._stopped.append(answer)
        running = tuple(self.running)  # the worker goes on changing it
        alone = answer not in running and any(other.alone for other in running)
        if self._context.can_cut or not alone:  # a running state is lost, and made again in batches of other shapes
            self._context.flag.set()

    # A step

    def _admit(self) -> None:
        """Let answers begin that wait, in the order they came."""
        for answer in tuple(self.waiting):
            if not self.cache.free or any(other.alone for other in self.running):
                return
            if answer.alone:
                if self.running:
                    return
                self.cache.clear()
            elif self._is_being_read(answer):
                continue
            elif not self._has_room(answer):
                return
            self.waiting.remove(answer)
            self.running.append(answer)
            try:
                self._place(answer)
            except Exception as error:  # noqa: BLE001 - told to who asked; the others go on
                self._fail(answer, error)

    def _place(self, answer: Answer) -> None:
        answer.place(self.cache.take(answer.tokens, answer.conversation))

    def _is_being_read(self, answer: Answer) -> bool:
        """Return whether somebody is reading what this one begins with, so that waiting for it costs less."""
        if not self._context.can_cut:
            return False
        there = max(common(sequence.tokens, answer.tokens[:-1]) for sequence in self.cache.sequences)
        return any(
            common(other.tokens, answer.tokens[:-1]) - there >= _WORTH_WAITING
            for other in self.running
            if not other.drawing
        )

    def _has_room(self, answer: Answer) -> bool:
        """Return whether it fits beside those who run. They grow, so it may still have to make room for them later."""
        if not self.running:
            return True
        if len(self.running) >= self._most:
            return False
        answer.shared = max(common(other.tokens, answer.tokens) for other in self.running)
        used = sum(len(other.tokens) - other.shared + _GROWTH for other in self.running)
        return used + len(answer.tokens) - answer.shared + _GROWTH <= self._context.n_ctx

    def _fill(self) -> list[_Part]:
        """Put the next tokens of all into the batch."""
        context, parts, reading = self._context, [], []
        for answer in self.running:
            if not answer.drawing:
                reading.append(answer)
            elif context.room:
                parts.append(self._part(answer, 1, reading=False))
        self._gap = 0.0
        if reading:
            room = context.n_batch
            if parts:
                self._gap = self._pace.gap
                ahead = min(part.answer.ahead for part in parts)
                room = self._pace.slice(ahead, sum(answer.pending for answer in reading))
            for answer in reading:
                read = len(answer.tokens) - answer.pending
                count = min(answer.pending, room, context.room, context.most_read(read))
                if count:
                    parts.append(self._part(answer, count, reading=True))
                    room -= count
        return parts

    def _part(self, answer: Answer, count: int, *, reading: bool) -> _Part:
        """Put the next ``count`` tokens of one into the batch."""
        sequence = answer.sequence
        assert sequence is not None  # noqa: S101 - it was placed
        start = len(sequence.tokens)
        tokens = answer.tokens[start : start + count]
        last = start + count == len(answer.tokens)
        output = self._context.add(tokens, start, sequence.id, draw=last)
        return _Part(answer, tokens, reading, output if last else None)

    def _advance(self, parts: list[_Part], seconds: float) -> None:
        """Note what was read, and draw for those who have read everything."""
        for answer, tokens, reading, output in parts:
            assert answer.sequence is not None  # noqa: S101 - it was placed
            answer.sequence.tokens.extend(tokens)
            try:
                if reading:
                    answer.has_read(len(tokens), seconds)
                if output is not None and answer in self.running:
                    self._draw(answer, output)
            except Exception as error:  # noqa: BLE001 - told to who asked; the others go on
                self._fail(answer, error)

    def _draw(self, answer: Answer, index: int) -> None:
        reason = answer.draw(self._context.handle, index, self._gap)
        if reason is None and answer.cancel.requested:
            reason = "abort"
        if reason is None and answer.full:
            reason = self._shift(answer)
        if reason is not None:
            self._end(answer, reason)

    def _shift(self, answer: Answer) -> StopReason | None:
        """Go on with fewer of the oldest turns, or end."""
        if not answer.shift():
            return "context_full"
        self._release(answer)
        if answer.alone:
            self.cache.clear()
        self._place(answer)
        return None

    def _make_room(self) -> None:
        """Free memory: what nobody works on first; then the youngest answer, which waits and is read again."""
        if self.cache.make_room():
            return
        youngest = self.running[-1]
        if len(self.running) == 1:
            self._end(youngest, "context_full")
            return
        self.running.remove(youngest)
        self._release(youngest, forget=True)
        self.waiting.appendleft(youngest)
        self._most = len(self.running)  # until one of them leaves: else it could come and go for ever

    def _cut_back(self, parts: list[_Part]) -> None:
        """Remove what an aborted batch left; what it cut off for the others is evaluated again."""
        if not self._context.can_cut:
            self.cache.clear()  # llama.cpp moves running states about within a batch, also those of others
            return
        for part in parts:
            sequence = part.answer.sequence
            if sequence is not None:
                self.cache.cut(sequence, len(sequence.tokens))

    # Ends

    def _end(self, answer: Answer, reason: StopReason) -> None:
        self._leave(answer)
        answer.end(reason)

    def _fail(self, answer: Answer, error: Exception) -> None:
        if answer in self.running or answer in self.waiting:
            self._leave(answer)
        answer.fail(error_event(answer.command.request_id, error))

    def _leave(self, answer: Answer) -> None:
        if answer in self.running:
            self.running.remove(answer)
        else:
            self.waiting.remove(answer)
        self._release(answer)

    def _release(self, answer: Answer, *, forget: bool = False) -> None:
        if answer.sequence is None:
            return
        if forget:
            self.cache.forget(answer.sequence)
        self.cache.release(answer.sequence)
        answer.sequence = None
        self._most = self._context.n_seq_max


class _Part(NamedTuple):
    """What one answer has in a batch: these tokens, read or drawn, and where to draw the next if there are no more."""

    answer: Answer
    tokens: list[int]
    reading: bool
    output: int | None


class _Pace:
    """Learns how long steps take, and says how much of a prompt one may read while answers draw.

    With ``s`` seconds for a step in which answers only draw, each of them gains ``(_GAP - 1) * s`` to tell.
    """

    def __init__(self) -> None:
        self._step = self._usual = 0.0
        self._tokens: dict[int, float] = {}  # seconds for one of a slice, by the tiles of that
        self._drawing = self._since = 0

    @property
    def gap(self) -> float:
        """Seconds between what is told of an answer while a prompt is read, which makes steps longer."""
        return max(_GAP * self._usual, 2 * self._step)

    def slice(self, ahead: float, wanted: int) -> int:
        """Return how many of ``wanted`` tokens the next step may read if there are ``ahead`` seconds left to tell."""
        if not self._step:
            return 0
        if not self._tokens:
            return min(_FIRST_SLICE, wanted)
        spare = self.gap - self._step
        token = self._token(wanted)
        count = min(wanted, max(1, int(spare / token), min(_SLICE, int(_HELD_S / token))))
        if _TILE < count < wanted < count + _TILE:
            count = -(-wanted // 2)  # so that what is left has one too
        need = _SPARE * count * self._token(count) - spare
        # Who says nothing, as within the call of a tool, is never ahead, and shall not keep a prompt waiting.
        return count if need <= max(ahead, self._since * spare) else 0

    def learn(self, seconds: float, parts: list[_Part], *, usual: bool) -> None:
        """Take in what a step took, and whether it was one as usual, with nobody who reads."""
        drawing = reading = 0
        for part in parts:
            if part.reading:
                reading += len(part.tokens)
            else:
                drawing += 1
        if not reading:
            same = drawing == self._drawing
            self._step = _mean(self._step if same else 0.0, seconds, 0.2)
            self._usual = self._step if usual or not same else self._usual
            self._drawing = drawing
            self._since += 1
        elif drawing and self._step:
            tiles, token = _tiles(reading), max(0.0, seconds - self._step) / reading
            self._tokens[tiles] = _mean(self._tokens.get(tiles, 0.0), token, 0.5)  # the deeper, the slower
            self._since = 0

    def _token(self, count: int) -> float:
        """Return the seconds for each of ``count`` tokens of a prompt."""
        tiles = _tiles(count)
        known = [mean * _COSTS[tiles] / _COSTS[other] for other, mean in self._tokens.items() if other >= tiles]
        return max(known or self._tokens.values()) or 1e-9


def _tiles(count: int) -> int:
    return min(count // _TILE, len(_COSTS) - 1)


def _mean(mean: float, value: float, weight: float) -> float:
    return mean + weight * (value - mean) if mean else value
