"""All answers of a model at once: one batch after the other, with a token of each that draws and slices of prompts."""

from __future__ import annotations

import time
from collections import deque
from functools import partial
from typing import TYPE_CHECKING

from ..flow import Flow
from ..requests import error_event
from .base import never
from .cache import Cache, common
from .pace import Pace

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..cancel import Cancel
    from ..protocol import StopReason
    from .answer import Answer
    from .context import Context

    _Part = tuple[Answer, int, bool, int | None]
    """What an answer has in a batch: so many tokens, read or drawn, and where to draw the next if there are no more."""

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
        self._pace = Pace()
        self._gap, self._read = 0.0, 0
        self._changed = False  # who takes part, or from where on, since the last batch
        self._handle = context.handle
        self._limit = self._most = min(context.n_seq_max, context.n_batch)

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

    def step(self, quiet: Callable[[], bool] = never) -> None:
        """Evaluate one batch and draw from it, and then the next as long as all only draw and it is ``quiet``."""
        # In this order: what is asked to stop from here on sets the flag again, and is seen in the next step.
        self._context.flag.clear()
        while self._stopped:
            answer = self._stopped.popleft()
            if answer in self.running or answer in self.waiting:
                self._end(answer, "abort")
        if self.waiting:
            self._admit()
        if self.running:
            parts = self._fill()
            while self._evaluate(parts) and quiet() and self._follow(parts):
                pass

    def _evaluate(self, parts: list[_Part]) -> bool:
        """Compute the batch, and draw; return whether the same answers go on. Little of this is in a cache then."""
        self._changed = False
        begun = time.perf_counter()
        try:
            result = self._context.decode()
        except Exception as error:  # noqa: BLE001 - nothing in the memory can be trusted: end all that is in it
            for answer in tuple(self.running):
                self._fail(answer, error)
            self.cache.clear()
            return False
        if result == "aborted":
            self._cut_back(parts)
            return False
        if result == "no_room":
            self._make_room()
            return False
        seconds = time.perf_counter() - begun
        if not self._read:
            self._pace.steps.append((len(parts), seconds))
        elif self._gap:
            self._pace.learn(seconds, self._read)
        self._advance(parts, seconds)
        return not self._changed and not self._stopped

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
        self._changed = True
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
            if answer.drawing:
                parts.append(self._part(answer, 1, reading=False))
            else:
                reading.append(answer)
        gap, self._gap, self._read = self._gap, 0.0, 0
        if reading:
            room = context.n_batch
            if parts:
                if not gap:
                    self._pace.begin()
                self._gap = self._pace.gap
                ahead = min(answer.ahead for answer, *_ in parts)
                room = self._pace.slice(ahead, sum(answer.pending for answer in reading))
            for answer in reading:
                read = len(answer.tokens) - answer.pending
                count = min(answer.pending, room, context.room, context.most_read(read))
                if count:
                    parts.append(self._part(answer, count, reading=True))
                    room -= count
                    self._read += count
        return parts

    def _part(self, answer: Answer, count: int, *, reading: bool) -> _Part:
        """Put the next ``count`` tokens of one into the batch."""
        sequence = answer.sequence
        assert sequence is not None  # noqa: S101 - it was placed
        start = len(sequence.tokens)
        last = start + count == len(answer.tokens)
        output = self._context.add(answer.tokens[start : start + count], start, sequence.id, draw=last)
        return answer, count, reading, output if last else None

    def _follow(self, parts: list[_Part]) -> bool:
        """Put what was drawn from the last batch in place of what was in it; return False if there is more to do."""
        if self._read or len(parts) < len(self.running):
            return False
        for answer, *_ in parts:
            if answer.pending != 1:  # as after a thought that was closed for it
                return False
        for index, (answer, *_) in enumerate(parts):
            self._context.follow(index, answer.tokens[-1])
        return True

    def _advance(self, parts: list[_Part], seconds: float) -> None:
        """Note what was read, and draw for those who have read everything."""
        for answer, count, reading, output in parts:
            assert answer.sequence is not None  # noqa: S101 - it was placed
            held = answer.sequence.tokens
            held += answer.tokens[len(held) : len(held) + count]
            try:
                if reading:
                    answer.has_read(count, seconds)
                if output is not None and answer in self.running:
                    reason = answer.draw(self._handle, output, self._gap)
                    if reason == "context_full":
                        reason = self._shift(answer)
                    if reason is not None:
                        self._end(answer, reason)
            except Exception as error:  # noqa: BLE001 - told to who asked; the others go on
                self._fail(answer, error)

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
        for answer, *_ in parts:
            if answer.sequence is not None:
                self.cache.cut(answer.sequence, len(answer.sequence.tokens))

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
        self._changed = True
        if forget:
            self.cache.forget(answer.sequence)
        self.cache.release(answer.sequence)
        answer.sequence = None
        self._most = self._limit
