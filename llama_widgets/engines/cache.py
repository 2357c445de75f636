"""What each sequence of a context holds, and which of it a new prompt can go on from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence as Tokens

    from .context import Context

_BLOCK = 256


@dataclass(eq=False)
class Sequence:
    """One sequence: ``tokens`` are those in llama.cpp's memory, in their positions from 0.

    ``conversation`` is whose it is, ``busy`` whether an answer is being made on it, ``used`` when it last was.
    """

    id: int
    tokens: list[int] = field(default_factory=list)
    conversation: str = ""
    busy: bool = False
    used: int = 0


class Cache:
    """The sequences of a context. What was read once is kept until its place is needed, least recently used first.

    A prompt goes on from its own conversation's sequence, which is cut back to what they share. What another one
    shares with it, such as the same system prompt, is copied and not cut: sequences share cells, so it costs nothing.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._clock = 0
        self.sequences = [Sequence(index) for index in range(context.n_seq_max)]

    @property
    def free(self) -> bool:
        """Whether another answer can begin."""
        return not all(sequence.busy for sequence in self.sequences)

    def take(self, prompt: Tokens[int], conversation: str = "") -> Sequence:
        """Return a sequence that is not busy, with as much of ``prompt`` in it as some sequence shares with it.

        At least the last token of the prompt is left to be evaluated: its result is what the answer begins with.
        """
        shares = {sequence.id: self.shared(sequence.tokens, prompt) for sequence in self.sequences}
        source = max(self.sequences, key=lambda sequence: shares[sequence.id])
        target = self._target(source, shares[source.id], conversation)
        if shares[source.id] > shares[target.id]:
            self.forget(target)
            target.tokens = source.tokens[: self._context.copy(source.id, target.id, shares[source.id])]
        elif shares[target.id] < len(target.tokens):
            self.cut(target, shares[target.id])
        target.busy, target.conversation = True, conversation
        return target

    def shared(self, tokens: Tokens[int], prompt: Tokens[int]) -> int:
        """Return how many of ``tokens`` a sequence for ``prompt`` can begin with.

        Where a sequence cannot be cut, that is all of them or none.
        """
        same = common(tokens, prompt[:-1])
        return same if self._context.can_cut or same == len(tokens) else 0

    def release(self, sequence: Sequence) -> None:
        """Say that no answer is made on it any more; its tokens stay until their place is needed."""
        self._clock += 1
        sequence.busy, sequence.used = False, self._clock

    def cut(self, sequence: Sequence, length: int) -> None:
        """Cut a sequence back, in our books and in llama.cpp's memory, where parts of an aborted batch may be too."""
        del sequence.tokens[self._context.cut(sequence.id, length) :]

    def forget(self, sequence: Sequence) -> None:
        """Free what a sequence holds."""
        self.cut(sequence, 0)

    def make_room(self) -> bool:
        """Forget the least recently used sequence that is not busy; return False if there is none."""
        idle = [sequence for sequence in self.sequences if sequence.tokens and not sequence.busy]
        if not idle:
            return False
        self.forget(min(idle, key=_used))
        return True

    def clear(self) -> None:
        """Forget everything."""
        self._context.clear()
        for sequence in self.sequences:
            sequence.tokens.clear()

    def _target(self, source: Sequence, share: int, conversation: str) -> Sequence:
        idle = [sequence for sequence in self.sequences if not sequence.busy]
        own = [sequence for sequence in idle if conversation and sequence.conversation == conversation]
        if own:
            return max(own, key=_used)
        nobodys = not source.busy and not source.conversation and not conversation
        if nobodys and share == len(source.tokens):
            return source
        return min(idle, key=lambda sequence: (bool(sequence.tokens), sequence.used))


def common(left: Tokens[int], right: Tokens[int]) -> int:
    """Return the length of the longest common beginning."""
    end = min(len(left), len(right))
    for start in range(0, end, _BLOCK):
        stop = min(start + _BLOCK, end)
        if left[start:stop] != right[start:stop]:  # compared in C; only the block that differs is gone through here
            return next(index for index in range(start, stop) if left[index] != right[index])
    return end


def _used(sequence: Sequence) -> int:
    return sequence.used
