"""Asking several sides the same, and voting on what they say."""

from __future__ import annotations

import asyncio
import json
import random
import threading
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar

from .. import protocol as p
from ..chat.exporting import table, written
from ..errors import BusyError, LlamaWidgetsError, NoModelError, ParameterError
from ..listeners import Listeners
from ..requests import SLICE_S, new_id, wait
from ..worker import shared
from . import keeping
from .rounds import Entry, Round
from .sides import LETTERS, Side, read_seed, read_sides

if TYPE_CHECKING:
    import os
    from collections.abc import Callable
    from concurrent.futures import Future

    from ..chat.conversation import Chat
    from ..chat.reply import Reply
    from ..worker import Worker

T = TypeVar("T", bound="Comparison")

Vote = int | Literal["tie"]


class Happened(NamedTuple):
    """What those hear who watch: ``kind`` is "begun", "grown", "ended", "withdrawn" or "voted"."""

    kind: str
    round: Round


class Comparison:
    """One message to two to four models or settings, and which answer was better.

    Parameters
    ----------
    sides : list or dict
        Two to four of: a model (path, reference, entry of ``lw.models()``), settings (a dict such as
        ``{"model": ..., "system": ..., "temperature": 0.2, "name": "cold"}``), or a ``Chat`` or ``ChatPanel`` that is
        there already. A dict gives each a name.
    model : str or path or Model, optional
        The model of those sides that name none.
    blind : bool
        Whether names are hidden and places shuffled until there is a vote.
    seed : int, optional
        Of the shuffling; by default another one each time. It is saved.
    follow : bool
        Whether each side is told what it was asked before. By default each message begins anew; conversations and
        panels that were given always go on.
    worker : Worker, optional
        Who answers; by default the one that all conversations of this process share.
    **options
        As for ``Chat``: for all sides that have no others.

    Raises
    ------
    ParameterError
        If there are not two to four sides, or one of them or an option is wrong.

    Attributes
    ----------
    sides : list of Side
        Who is compared: ``name``, ``model``, ``settings``.
    rounds : list of Round
        What was asked and said.
    blind : bool
        As above; it can be set, for the rounds to come.

    Notes
    -----
    Sides that share a model answer at the same time; models are loaded one after the other.

    Examples
    --------
    >>> duel = lw.Comparison([{"temperature": 0}, {"temperature": 1}], model="model.gguf")  # doctest: +SKIP
    >>> cold, warm = duel.ask("Name a colour.")  # doctest: +SKIP
    >>> duel.vote(0)  # doctest: +SKIP
    >>> duel.tally()  # doctest: +SKIP
    """

    def __init__(
        self,
        sides: object = (),
        *,
        model: object = None,
        blind: bool = False,
        seed: int | None = None,
        follow: bool = False,
        worker: Worker | None = None,
        **options: Any,  # noqa: ANN401 - checked by Chat
    ) -> None:
        self.sides: list[Side] = read_sides(sides, model=model, worker=worker, options=options)
        self.rounds: list[Round] = []
        self.blind = bool(blind)
        self.follow = bool(follow)
        self.seed = read_seed(seed)
        self._given_worker = worker
        self._chats: list[Chat] = []
        self._mutex = threading.RLock()
        self._watchers: Listeners[Happened] = Listeners()

    @property
    def busy(self) -> bool:
        """Whether an answer is being made or waited for."""
        return any(not asked.ended for asked in self.rounds[-1:])

    def names(self, number: int = -1) -> list[str]:
        """Return the names of the sides as they stand in a round; letters while they are hidden."""
        asked = self.rounds[number]
        return list(LETTERS[: len(self.sides)]) if asked.hidden else [self.sides[side].name for side in asked.order]

    def submit(self, text: object, *, request_id: str | None = None) -> Round:
        """Ask all sides without waiting; the round's ``future`` is done when all have answered.

        Raises
        ------
        BusyError
            If the last message is still being answered, or one of the sides answers somebody else.
        NoModelError
            If a side has no model.
        ParameterError
            If the message is empty or not text.
        """
        if not isinstance(text, str) or not text.strip():
            kind = type(text).__name__
            msg = "The message is empty." if isinstance(text, str) else f"A message must be text, not {kind}."
            raise ParameterError(msg, "Write something for the sides to answer.")
        with self._mutex:
            if self.busy:
                msg = "The last message is still being answered."
                raise BusyError(msg, "Wait for it, or stop it first.")
            chats = self._next_chats()
            asked = Round(
                message=text,
                order=self._order(),
                entries=[Entry() for _ in self.sides],
                blind=self.blind,
                request_id=request_id or new_id(),
                chats=chats,
            )
            self.rounds.append(asked)
        self._tell("begun", asked)
        try:
            for side in self._turn(chats):
                if not asked.entries[side].ended:
                    self._begin(asked, side)
        except BaseException:
            self.stop()
            self._give_up(asked)
            raise
        return asked

    def ask(self, text: object) -> list[Reply]:
        """Ask all sides and wait for them.

        Interrupting the kernel stops all of them and keeps what was said. Takes and raises what ``submit`` does.

        Returns
        -------
        list of Reply
            As the sides stand in this round: in a blind one the order says nothing.

        Raises
        ------
        LlamaWidgetsError
            What went wrong with the first side that could not answer; what the others said is in ``rounds``.
        """
        self._forbid_waiting()
        asked = self.submit(text)
        try:
            wait(asked.future)
        except KeyboardInterrupt:
            self.stop()
            asked.future.exception()  # a few milliseconds: what was said is in place when the cell ends
            raise
        return self._replies(asked)

    async def ask_async(self, text: object) -> list[Reply]:
        """Ask all sides and await them; widgets go on meanwhile. Cancelling the task stops all."""
        asked = self.submit(text)
        future = asyncio.wrap_future(asked.future)
        try:
            while not future.done():  # in slices, as ``Asking.ask_async`` says
                await asyncio.wait({future}, timeout=SLICE_S)
        finally:
            future.cancel()
            if not asked.ended:
                self.stop()
        return self._replies(asked)

    def stop(self) -> bool:
        """Stop all answers that are being made, keeping what was said; return whether there were any."""
        asked = next((each for each in self.rounds[-1:] if not each.ended), None)
        if asked is None:
            return False
        asked.stopped = True
        for chat, entry in zip(asked.chats, asked.entries, strict=True):
            answer = chat.record.answer
            if answer is not None and answer.request_id == entry.request_id:
                chat.stop()
        return True

    def vote(self, better: Vote | str, number: int = -1) -> None:
        """Say which answer was better.

        Parameters
        ----------
        better : int, "A" to "D" or "tie"
            The place of the better answer in what ``ask`` returned, counted from 0, or its letter.
        number : int
            Which round, by default the last one.

        Raises
        ------
        BusyError
            If it is still being answered.
        ParameterError
            If there is no such round or answer, or a blind round has its vote already.
        """
        with self._mutex:
            if not -len(self.rounds) <= number < len(self.rounds):
                msg = f"There is no round {number}: there are {len(self.rounds)}."
                raise ParameterError(msg, "Ask something first." if not self.rounds else "They are counted from 0.")
            asked = self.rounds[number]
            if not asked.ended:
                msg = "The answers are still being made."
                raise BusyError(msg, "Wait for them, or stop them first.")
            letters = list(LETTERS[: len(self.sides)])
            place = letters.index(better) if better in letters else better
            if place != "tie" and (isinstance(place, bool) or place not in range(len(letters))):
                msg = f"There is no answer {better!r:.80}: there are {len(letters)}."
                raise ParameterError(msg, f"Vote for 'A' to '{letters[-1]}', 0 to {len(letters) - 1}, or 'tie'.")
            if asked.blind and asked.vote is not None:
                msg = "This blind round has its vote already, and the names are known now."
                raise ParameterError(msg, "Ask something new.")
            asked.vote = "tie" if place == "tie" else asked.order[int(place)]
        self._tell("voted", asked)

    def tally(self) -> list[dict[str, Any]]:
        """Return how the sides stand: ``side``, ``wins``, ``ties``, ``losses`` and ``rate``.

        The rate is the share of the rounds with a vote that were won, where a tie counts half; ``None`` before the
        first vote.
        """
        votes = [asked.vote for asked in self.rounds if asked.vote is not None]
        ties = votes.count("tie")
        standings = []
        for number, side in enumerate(self.sides):
            wins = votes.count(number)
            rate = (wins + ties / 2) / len(votes) if votes else None
            losses = len(votes) - wins - ties
            standings.append({"side": side.name, "wins": wins, "ties": ties, "losses": losses, "rate": rate})
        return standings

    def to_dataframe(self, library: str | None = None) -> Any:  # noqa: ANN401 - of pandas or polars
        """Return a table with a row for each answer: round, message, place, side, settings, text, vote, times.

        ``won`` is 1 for the better answer, 0.5 for a tie and 0 for the others, so that its mean is the rate of
        ``tally``. Of a blind round without a vote, who said what is left out.

        Parameters
        ----------
        library : "pandas" or "polars", optional
            What makes it; by default pandas, or polars where pandas is not installed.
        """
        return table(keeping.rows(self), keeping.COLUMNS, library)

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as plain data."""
        with self._mutex:
            return keeping.write(self)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write all of it to a file as JSON; raises ``ConversationError`` if that cannot be written."""
        written(json.dumps(self.to_dict(), ensure_ascii=False, indent=1), path)

    @classmethod
    def load(cls: type[T], path: str | os.PathLike[str], *, worker: Worker | None = None) -> T:  # noqa: PYI019
        """Return a comparison that was saved, to be looked at and gone on with.

        Raises
        ------
        ConversationError
            If the file cannot be read, or is none.
        """
        return keeping.read(cls, path, worker)

    def watch(self, watcher: Callable[[Happened], object]) -> Callable[[], None]:
        """Call ``watcher`` with everything that happens; return a function that ends that. It must return soon."""
        return self._watchers.add(watcher)

    @property
    def _worker(self) -> Worker:
        return self._given_worker or shared()

    def _forbid_waiting(self) -> None:
        """Raise ``BusyError`` inside callbacks, where waiting for an answer would wait for ever."""
        self._worker.forbid_own_thread()
        for side in self.sides:
            if side.given:
                side.begin().forbid_waiting()

    def _tell(self, kind: str, asked: Round) -> None:
        self._watchers.tell(Happened(kind, asked))

    def _next_chats(self) -> list[Chat]:
        if not (self.follow and self._chats):
            self._chats = [side.begin() for side in self.sides]
        for side, chat in zip(self.sides, self._chats, strict=True):
            if not chat.model:
                msg = f"{side.name} has no model."
                raise NoModelError(msg, "Name one: lw.Compare(..., model=lw.models()[0]).")
            if chat.record.answer is not None:
                msg = f"{side.name} is still answering."
                raise BusyError(msg, "Wait for it, or stop it first.")
        return list(self._chats)

    def _order(self) -> list[int]:
        order = list(range(len(self.sides)))
        if self.blind:
            # Sides that are told what was said before keep their places: one would see who changed.
            number = 0 if self.follow else len(self.rounds)
            random.Random(f"{self.seed} {number}").shuffle(order)  # noqa: S311 - no secret
        return order

    def _turn(self, chats: list[Chat]) -> list[int]:
        """Return in which order they are asked: those of one model together, those of the model in memory first."""
        models = [chat.model for chat in chats]
        here = {model: self._worker.is_loaded(model) for model in models}
        return sorted(range(len(chats)), key=lambda side: (not here[models[side]], models.index(models[side])))

    def _begin(self, asked: Round, side: int) -> None:
        chat, entry = asked.chats[side], asked.entries[side]

        def hear(event: object) -> None:
            if isinstance(event, (p.Progress, p.CompletionChunk)) and event.request_id == entry.request_id:
                with self._mutex:
                    changed = entry.hear(event)
                if changed:
                    self._tell("grown", asked)

        unwatch = chat.record.watchers.add(hear)

        def end(future: Future[Reply]) -> None:
            unwatch()
            with self._mutex:
                entry.end(future)
            self._ended(asked)

        entry.submitted = True
        try:
            answer = chat.submit(asked.message, request_id=entry.request_id)
        except LlamaWidgetsError as error:
            unwatch()
            with self._mutex:
                entry.fail(error)
            self._ended(asked)
            return
        answer.future.add_done_callback(end)
        if asked.stopped:  # between the one before and this one
            answer.stop()

    def _give_up(self, asked: Round) -> None:
        """End what has not begun, and will not any more."""
        with self._mutex:
            for entry in asked.entries:
                if not entry.submitted:
                    entry.said.state, entry.said.stop_reason = "done", "abort"
        self._ended(asked)

    def _ended(self, asked: Round) -> None:
        with self._mutex:
            last = asked.ended and not asked.over
            asked.over = asked.over or last
            withdrawn = last and asked.empty
            if withdrawn:
                self.rounds.remove(asked)
        self._tell("withdrawn" if withdrawn else "ended", asked)
        if last:
            asked.future.set_result(None)

    def _replies(self, asked: Round) -> list[Reply]:
        entries = [asked.entries[side] for side in asked.order]
        for place, entry in enumerate(entries):
            if entry.failure is not None:
                name = f"Answer {LETTERS[place]}" if asked.hidden else self.sides[asked.order[place]].name
                raise type(entry.failure)(f"{name}: {entry.failure.message}", entry.failure.hint)
        return [entry.reply for entry in entries if entry.reply is not None]
