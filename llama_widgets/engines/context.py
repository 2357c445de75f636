"""The memory of one conversation in llama.cpp: which tokens it has read, and how it reads more."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

import llama_cpp  # noqa: TID253 - this module is imported late

from ..errors import ContextError, EngineError, InvalidModelError
from . import native

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..options import LoadOptions
    from .model import Model

_MOST_AUTO = 8192
_UBATCH = 512
_NO_SLOT, _ABORTED = 1, 2


class Context:
    """One context with one sequence. ``tokens`` are those in llama.cpp's memory, in their positions from 0.

    Parameters
    ----------
    model : Model
        What computes.
    options : LoadOptions
        Size and threads.

    Attributes
    ----------
    tokens : list of int
        What is in the memory.
    n_ctx : int
        Tokens that fit.
    n_batch : int
        The most tokens of one evaluation.
    memory : int
        Bytes that llama.cpp allocated for it.
    abortable : bool
        Whether an evaluation can be stopped in the middle, on this device.
    """

    def __init__(self, model: Model, options: LoadOptions) -> None:
        threads = native.default_threads() if options.n_threads == "auto" else options.n_threads
        params = llama_cpp.llama_context_default_params()
        params.n_ctx = min(model.n_ctx_train, _MOST_AUTO) if options.n_ctx == "auto" else options.n_ctx
        params.n_batch = options.n_batch
        params.n_ubatch = min(options.n_batch, _UBATCH)
        params.n_threads = params.n_threads_batch = threads
        with native.log.capture() as lines:
            handle = llama_cpp.llama_init_from_model(model.handle, params)
        if handle is None:
            msg = f"llama.cpp cannot make a context of {params.n_ctx:,} tokens: {native.reason(lines)}."
            raise ContextError(msg, "Choose a smaller n_ctx, or free memory.")
        self._handle: llama_cpp.llama_context_p | None = handle
        memory = llama_cpp.llama_get_memory(handle)
        if memory is None:
            self.close()
            msg = "The model keeps nothing of what it read: it makes embeddings and cannot answer."
            raise InvalidModelError(msg, "Choose a model for text or chat.")
        self._memory = memory
        self._token = (llama_cpp.llama_token * 1)()
        self.tokens: list[int] = []
        self.n_ctx = llama_cpp.llama_n_ctx(handle)
        self.n_batch = llama_cpp.llama_n_batch(handle)
        self.memory = _buffer_bytes("\n".join(line for _, line in lines))
        self.abortable = self._try_abort()

    @property
    def handle(self) -> llama_cpp.llama_context_p:
        """llama.cpp's pointer."""
        if self._handle is None:
            msg = "the context is closed"
            raise RuntimeError(msg)
        return self._handle

    def close(self) -> None:
        """Free the memory."""
        if self._handle is not None:
            llama_cpp.llama_free(self._handle)
            self._handle = None

    def positions(self) -> tuple[int, int]:
        """Return the first and the last position in llama.cpp's memory; (-1, -1) if it is empty."""
        return (
            llama_cpp.llama_memory_seq_pos_min(self._memory, 0),
            llama_cpp.llama_memory_seq_pos_max(self._memory, 0),
        )

    def attach(self, flag: native.AbortFlag) -> None:
        """Let ``flag`` stop the evaluations from now on."""
        flag.attach(self.handle)
        self._flag = flag  # llama.cpp holds a bare pointer into it

    def reuse(self, prompt: Sequence[int]) -> int:
        """Cut the memory back to what it shares with ``prompt``; return how many tokens that is.

        At least the last token of the prompt is left to be evaluated: its result is what the answer begins with.
        """
        same = 0
        for known, wanted in zip(self.tokens, prompt[:-1], strict=False):
            if known != wanted:
                break
            same += 1
        self._cut(same)
        return len(self.tokens)

    def evaluate(self, tokens: Sequence[int]) -> Literal["abort", "context_full"] | None:
        """Read ``tokens``; return why they could not be read. Those that were not read leave no trace."""
        if len(tokens) == 1:
            array = self._token
            array[0] = tokens[0]
        else:
            array = (llama_cpp.llama_token * len(tokens))(*tokens)
        result = llama_cpp.llama_decode(self.handle, llama_cpp.llama_batch_get_one(array, len(tokens)))
        if result == 0:
            self.tokens.extend(tokens)
            return None
        if result == _ABORTED:
            self._cut(len(self.tokens))  # the parts of the batch that were finished stay in the memory
            return "abort"
        if result == _NO_SLOT:
            return "context_full"
        self.clear()
        msg = f"llama.cpp failed while it read {len(tokens)} tokens (code {result})."
        raise EngineError(msg, "Try again; the log named llama_widgets.llama may say more.")

    def clear(self) -> None:
        """Forget everything."""
        llama_cpp.llama_memory_clear(self._memory, True)
        self.tokens.clear()

    def _cut(self, length: int) -> None:
        """Forget the tokens from ``length`` on; all of them where the memory is a running state, as in Mamba."""
        if length and llama_cpp.llama_memory_seq_rm(self._memory, 0, length, -1):
            del self.tokens[length:]
        else:
            self.clear()

    def _try_abort(self) -> bool:
        """Return whether an evaluation really stops: not every device asks the callback."""
        flag = native.AbortFlag()
        flag.set()
        if not flag.attach(self.handle):
            return False
        self._flag = flag
        stopped = self.evaluate([0]) == "abort"
        self.clear()
        self.attach(native.AbortFlag())
        return stopped


def _buffer_bytes(log: str) -> int:
    """Add up the buffers of a context from its log; llama.cpp has no function that tells their sizes."""
    sizes = re.findall(r"(?:KV|RS|output|compute) buffer size = +([\d.]+) MiB", log)
    return round(sum(map(float, sizes)) * 1024 * 1024)
