"""llama.cpp's context: a memory for several sequences of tokens, and one batch that reads on in all of them."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Literal, NoReturn

import llama_cpp  # noqa: TID253 - this module is imported late

from ..errors import ContextError, EngineError, InvalidModelError
from . import native
from .buffers import measured
from .parameters import context_params, most_read

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..options import LoadOptions
    from .adapters import Adapters
    from .model import Model

Result = Literal["done", "no_room", "aborted"]
_RESULTS: dict[int, Result] = {0: "done", 1: "no_room", 2: "aborted"}


class Context:
    """One context of llama.cpp. Its sequences share ``n_ctx`` cells; a cell can belong to several of them.

    Parameters
    ----------
    model : Model
        What computes.
    options : LoadOptions
        How.
    n_ctx, n_seq_max : int
        Cells, and sequences.
    adapters : Adapters, optional
        What is added to the weights.
    n_outputs : int, optional
        The most tokens of a batch after which to ask for what follows, by default one for each sequence.

    Attributes
    ----------
    n_ctx, n_seq_max : int
        As llama.cpp made them.
    n_batch : int
        The most tokens of one batch.
    memory : int
        Bytes that llama.cpp allocated for it.
    can_cut : bool
        Whether the end of a sequence can be removed. Recurrent and hybrid models keep a running state instead.
    flag : AbortFlag
        Set from any thread, it ends the evaluation that runs.
    abortable : bool
        Whether it really does on this device.
    """

    def __init__(
        self,
        model: Model,
        options: LoadOptions,
        n_ctx: int,
        n_seq_max: int,
        adapters: Adapters | None = None,
        *,
        n_outputs: int | None = None,
    ) -> None:
        params = context_params(options, n_ctx=n_ctx, n_seq_max=n_seq_max, n_outputs=n_outputs)
        with native.log.capture() as lines:
            handle = llama_cpp.llama_init_from_model(model.handle, params)
        if handle is None:
            msg = f"llama.cpp cannot make a context of {n_ctx:,} tokens: {native.reason(lines)}."
            raise ContextError(msg, "Choose a smaller n_ctx, or free memory.")
        self._handle: llama_cpp.llama_context_p | None = handle
        memory = llama_cpp.llama_get_memory(handle)
        if memory is None:
            self.close()
            msg = "it keeps nothing of what it reads"
            raise InvalidModelError(msg, "Choose a model for text or chat.")
        self._memory = memory
        self.n_ctx = int(llama_cpp.llama_n_ctx(handle))
        self.n_seq_max = int(llama_cpp.llama_n_seq_max(handle))
        self.n_batch = int(llama_cpp.llama_n_batch(handle))
        needs = measured(lines, 0)
        self.memory = needs.total if needs else 0
        self.can_cut = not model.keeps_state
        self._window = 0 if options.swa_full else int(llama_cpp.llama_model_n_swa(model.handle))
        self._options = options
        self._batch = _Batch(self.n_batch)
        if adapters is not None:
            adapters.attach(handle)
        self.flag = native.AbortFlag()
        self.abortable = self._try_abort()

    @property
    def handle(self) -> llama_cpp.llama_context_p:
        """llama.cpp's pointer."""
        return self._handle or _closed()

    def close(self) -> None:
        """Free the memory."""
        if self._handle is not None:
            llama_cpp.llama_free(self._handle)
            self._handle = None

    # Sequences

    def positions(self, sequence: int) -> tuple[int, int]:
        """Return the first and the last position in the memory of ``sequence``; (-1, -1) if it is empty."""
        return (
            llama_cpp.llama_memory_seq_pos_min(self._memory, sequence),
            llama_cpp.llama_memory_seq_pos_max(self._memory, sequence),
        )

    def cut(self, sequence: int, length: int) -> int:
        """Forget the tokens of ``sequence`` from ``length`` on; return how many are left.

        Where they cannot be removed, or what they would have to look back on is gone, all are forgotten.
        """
        if (
            length
            and llama_cpp.llama_memory_seq_rm(self._memory, sequence, length, -1)
            and self._holds(sequence, length)
        ):
            return length
        llama_cpp.llama_memory_seq_rm(self._memory, sequence, -1, -1)
        return 0

    def copy(self, source: int, target: int, length: int) -> int:
        """Let the empty sequence ``target`` begin with ``length`` tokens of ``source``; return how many it has then."""
        llama_cpp.llama_memory_seq_cp(self._memory, source, target, 0, length if self.can_cut else -1)
        return length if self._holds(target, length) else self.cut(target, 0)

    def clear(self) -> None:
        """Forget everything: whose each cell is, not what is in it, which nobody looks at any more."""
        llama_cpp.llama_memory_clear(self._memory, False)

    def _holds(self, sequence: int, length: int) -> bool:
        """Return whether ``length`` tokens are there, with all that the next one looks at.

        With a sliding window the older ones are gone. A copy of a running state may have read on meanwhile.
        """
        first, last = self.positions(sequence)
        start = max(0, length + 1 - self._window) if self._window else 0
        return last == length - 1 and (first <= start or not self.can_cut)

    # Evaluation

    @property
    def room(self) -> int:
        """Tokens that can still be added to the batch."""
        return self.n_batch - self._batch.count

    def most_read(self, position: int) -> int:
        """Return how many tokens of a prompt to read at once after ``position`` others."""
        return most_read(self._options, position)

    def add(self, tokens: Sequence[int], position: int, sequence: int, *, draw: bool) -> int:
        """Put ``tokens`` of ``sequence``, from ``position`` on, into the batch; ``draw`` asks for what follows them.

        Returns
        -------
        int
            The index that the last one has in the batch, where its logits are found.
        """
        batch, start = self._batch, self._batch.count
        batch.count = end = start + len(tokens)
        for at, token in enumerate(tokens, start):
            batch.tokens[at], batch.positions[at] = token, position + at - start
            batch.sequences[at], batch.draws[at] = sequence, 0
        batch.draws[end - 1] = draw
        return end - 1

    def follow(self, index: int, token: int) -> None:
        """Put into the batch what follows token ``index`` of the last one. Those before it must have been followed."""
        batch = self._batch
        batch.tokens[index] = token
        batch.positions[index] += 1
        batch.count = index + 1

    def decode(self) -> Result:
        """Evaluate the batch and empty it.

        After "aborted" parts of it may be in the memory: cut the sequences back. After "no_room" nothing has changed.

        Raises
        ------
        EngineError
            If llama.cpp fails. Nothing of the memory can be trusted then.
        """
        batch = self._batch
        batch.whole.n_tokens, batch.count = batch.count, 0
        result = llama_cpp.llama_decode(self._handle or _closed(), batch.whole)
        if result in _RESULTS:
            return _RESULTS[result]
        msg = f"llama.cpp failed while it read {batch.whole.n_tokens} tokens (code {result})."
        raise EngineError(msg, "Try again; the log named llama_widgets.llama may say more.")

    def _try_abort(self) -> bool:
        """Return whether an evaluation really stops: not every device asks the callback."""
        if not self.flag.attach(self.handle):
            return False
        self.flag.set()
        self.add((0,), 0, 0, draw=True)
        stopped = self.decode() == "aborted"
        self.clear()
        self.flag.clear()
        return stopped


class _Batch:
    """A ``llama_batch`` over arrays of ours, the first ``count`` tokens of which are filled.

    They are arrays of C, not of numpy: after each evaluation the processor's caches are cold, and what runs then costs
    what must come from memory, which of numpy is much even where one number is set.
    """

    def __init__(self, size: int) -> None:
        self.tokens = (llama_cpp.llama_token * size)()
        self.positions = (llama_cpp.llama_pos * size)()
        self.draws = (ctypes.c_int8 * size)()
        self.sequences = (llama_cpp.llama_seq_id * size)()
        # Each token has a list of sequences: here each has one, and the lists are the items of one array.
        ones = (ctypes.c_int32 * size)(*[1] * size)
        step, start = ctypes.sizeof(llama_cpp.llama_seq_id), ctypes.addressof(self.sequences)
        item = ctypes.POINTER(llama_cpp.llama_seq_id)
        lists = (item * size)(*(ctypes.cast(start + at * step, item) for at in range(size)))
        self.count = 0
        self.whole = llama_cpp.llama_batch(
            n_tokens=0,
            token=self.tokens,
            embd=None,
            pos=self.positions,
            n_seq_id=ones,
            seq_id=lists,
            logits=self.draws,
        )


def _closed() -> NoReturn:
    msg = "the context is closed"
    raise RuntimeError(msg)
