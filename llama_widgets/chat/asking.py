"""The ways to wait for an answer: all of it or piece by piece, blocking or awaiting."""

from __future__ import annotations

import asyncio
import queue
from typing import TYPE_CHECKING, Any

from ..requests import SLICE_S

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from .answer import Answer
    from .conversation import Chat
    from .reply import Reply

_POLL_S = 0.01


class Asking:
    """What a conversation does for those who wait, given the ways to ask without waiting.

    No abstract base class, as a widget has another metaclass.
    """

    @property
    def chat(self) -> Chat:
        """The conversation, with no widget."""
        raise NotImplementedError

    def submit(self, text: str, *, request_id: str | None = None, **options: Any) -> Answer:  # noqa: ANN401
        """Ask without waiting."""
        raise NotImplementedError

    def submit_regenerate(
        self,
        turn: str | None = None,
        *,
        request_id: str | None = None,
        **options: Any,  # noqa: ANN401
    ) -> Answer:
        """Answer a question again, without waiting."""
        raise NotImplementedError

    def submit_edit(
        self,
        which: int | str,
        text: str,
        *,
        request_id: str | None = None,
        **options: Any,  # noqa: ANN401
    ) -> Answer:
        """Ask something else in place of a question, without waiting."""
        raise NotImplementedError

    def submit_continue(self, *, request_id: str | None = None, **options: Any) -> Answer:  # noqa: ANN401
        """Go on with an answer that was cut, without waiting."""
        raise NotImplementedError

    def submit_from(
        self,
        position: int,
        token: int | None = None,
        *,
        turn: str | None = None,
        request_id: str | None = None,
        **options: Any,  # noqa: ANN401
    ) -> Answer:
        """Go on from a token of an answer, without waiting."""
        raise NotImplementedError

    def forbid_waiting(self) -> None:
        """Raise ``BusyError`` where waiting for an answer would wait for ever."""
        raise NotImplementedError

    def ask(self, text: str, **options: Any) -> Reply:  # noqa: ANN401
        """Ask and wait for the answer.

        Interrupting the kernel stops the answer, keeps what was said until then in ``messages`` and raises
        ``KeyboardInterrupt``, so that a loop of questions ends too. Takes and raises what ``submit`` does, and what
        goes wrong while the model loads and answers.
        """
        self.forbid_waiting()
        return wait_for(self.submit(text, **options))

    def regenerate(self, turn: str | None = None, **options: Any) -> Reply:  # noqa: ANN401
        """Answer a question again and wait; the answer that was there stays as a branch beside the new one.

        Parameters
        ----------
        turn : str, optional
            The id of an answer, or of its question; by default the last one.
        **options
            As in ``ask``.
        """
        self.forbid_waiting()
        return wait_for(self.submit_regenerate(turn, **options))

    def edit(self, which: int | str, text: str, **options: Any) -> Reply:  # noqa: ANN401
        """Ask something else in place of a question and wait; the question and what followed stay as a branch.

        Parameters
        ----------
        which : int or str
            Which question: 0 is the first, -1 the last; or its id.
        text : str
            What is asked in its place.
        **options
            As in ``ask``.
        """
        self.forbid_waiting()
        return wait_for(self.submit_edit(which, text, **options))

    def continue_(self, **options: Any) -> Reply:  # noqa: ANN401
        """Go on with the last answer, which was cut by max_tokens, a stop, a full context or an error, and wait.

        The reply's ``text`` is all of it, its other figures are of the new piece; the cut one stays as a branch. Takes
        and raises what ``ask`` does, and ``ParameterError`` for an answer that ended by itself.
        """
        self.forbid_waiting()
        return wait_for(self.submit_continue(**options))

    def continue_from(
        self,
        position: int,
        token: int | None = None,
        *,
        turn: str | None = None,
        **options: Any,  # noqa: ANN401
    ) -> Reply:
        """Go on from a token of an answer, with another one in its place, and wait; the answer stays as a branch.

        The tokens before it stay those that were drawn. The answer must have been asked for with ``top_logprobs``.

        Parameters
        ----------
        position : int
            Which token of the reply's ``logprobs``, counted from 0.
        token : int, optional
            What stands there: the ``token`` of one of its ``top``. By default it is drawn again.
        turn : str, optional
            The id of the answer, by default the last one.
        **options
            As in ``ask``; max_tokens counts what is added.

        Examples
        --------
        >>> reply = chat.ask("Name a colour.", top_logprobs=5)  # doctest: +SKIP
        >>> chat.continue_from(0, reply.logprobs[0]["top"][1]["token"]).text  # doctest: +SKIP
        """
        self.forbid_waiting()
        return wait_for(self.submit_from(position, token, turn=turn, **options))

    async def ask_async(self, text: str, **options: Any) -> Reply:  # noqa: ANN401
        """Ask and await the answer; widgets and other tasks go on meanwhile. Cancelling the task stops the answer."""
        answer = self.submit(text, **options)
        future = asyncio.wrap_future(answer.future)
        try:
            # In slices: a signal that comes just before the event loop goes to sleep is handled when it next wakes, and
            # ipykernel 6 has nothing else that would wake it. One interrupt in ten was lost that way.
            while not future.done():
                await asyncio.wait({future}, timeout=SLICE_S)
            return future.result()
        finally:
            future.cancel()  # only ours: the answer's own cannot be cancelled, and nobody asks this one any more
            _leave(answer)

    def stream(self, text: str, **options: Any) -> Iterator[str]:  # noqa: ANN401
        """Ask and return the answer piece by piece as it is made; leaving the loop early stops it.

        The pieces are its text, what it is begun with first; not what the model thinks, nor what tools return.
        """
        self.forbid_waiting()
        return pieces_of(self.submit(text, **options))

    async def stream_async(self, text: str, **options: Any) -> AsyncIterator[str]:  # noqa: ANN401
        """Ask and yield the answer piece by piece, as ``stream`` does, without blocking the event loop."""
        answer = self.submit(text, **options)
        try:
            while True:
                try:
                    piece = answer.pieces.get_nowait()
                except queue.Empty:
                    await asyncio.sleep(_POLL_S)  # not in a thread, which a cancelled task would leave behind
                    continue
                if piece is None:
                    break
                yield piece
        finally:
            _leave(answer)
        answer.wait()


def wait_for(answer: Answer) -> Reply:
    """Wait for an answer; an interrupt stops it, and is raised when what was said is in place."""
    try:
        return answer.wait()
    except KeyboardInterrupt:
        _leave(answer)
        answer.future.exception()  # a few milliseconds: the partial answer is in place when the cell ends
        raise


def pieces_of(answer: Answer) -> Iterator[str]:
    """Yield an answer piece by piece; leaving early stops it."""
    try:
        while True:
            try:
                piece = answer.pieces.get(timeout=SLICE_S)
            except queue.Empty:
                continue
            if piece is None:
                break
            yield piece
    finally:
        _leave(answer)
    answer.wait()


def _leave(answer: Answer) -> None:
    """Stop an answer that nobody waits for any more, if it has not ended."""
    if not answer.future.done():
        answer.stop()
