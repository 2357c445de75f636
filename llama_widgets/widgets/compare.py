"""Compare: one message to several models or settings side by side, in a notebook cell."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, cast

from ..comparing import page
from ..comparing.comparison import Comparison
from ..protocol import Info
from .base import LlamaWidget
from .kept_table import KeptTable
from .messages import FROM_VIEW
from .messages import compare as m
from .writing import Writing

if TYPE_CHECKING:
    from ..chat.conversation import Chat
    from ..comparing.comparison import Happened
    from ..comparing.rounds import Round
    from ..protocol import Abort
    from ..wire import Message
    from ..worker import Worker
    from .messages import Hello
    from .messages import talking as t


class Compare(Comparison, LlamaWidget):
    """A ``Comparison`` that is shown: ask, read the answers beside each other, vote.

    Takes what ``Comparison`` takes. Where there are names to hide, the button "Blind" or ``blind=True`` does so.

    Examples
    --------
    >>> lw.Compare([{"temperature": 0}, {"temperature": 1}], model=lw.models()[0])  # doctest: +SKIP
    """

    _takes: ClassVar[dict[str, type[Message]]] = FROM_VIEW | m.FROM_VIEW

    def __init__(
        self,
        sides: object = (),
        *,
        model: object = None,
        blind: bool = False,
        seed: int | None = None,
        follow: bool = False,
        worker: Worker | None = None,
        **options: Any,  # noqa: ANN401 - checked by Comparison
    ) -> None:
        traits = {name: options.pop(name) for name in ("layout",) if name in options}
        Comparison.__init__(self, sides, model=model, blind=blind, seed=seed, follow=follow, worker=worker, **options)
        LlamaWidget.__init__(self, **traits)
        self._told: dict[int, tuple[int, int, str, int]] = {}  # what the views have of each answer that grows
        self._seq = 0
        self._writing = Writing(cast("Chat", _Asked(self)), self.publish, self.fail)
        self._kept = KeptTable([lambda: page.html(self)], "A comparison")
        self.watch(self._hear)
        self._at_close.append(self.stop)

    def _hear(self, happened: Happened) -> None:
        asked = happened.round
        if happened.kind == "grown":
            self.publish_made(self._grown)
            return
        if happened.kind == "withdrawn":
            self.publish(m.Withdrawn(request_id=asked.request_id, number=len(self.rounds), text=asked.typed))
            failure = next(entry.event for entry in asked.entries if entry.event is not None)
            self.fail(replace(failure, request_id=asked.request_id))
            return
        if happened.kind == "begun":
            self.show(error=None)
        self.publish_made(partial(self._changed, asked))
        if not self.busy:
            self._kept.changed(at_once=True)

    # What is sent is made when it is sent, so that each view gets each word once.

    def _changed(self, asked: Round) -> m.RoundChanged | None:
        with self._mutex:
            if asked not in self.rounds:
                return None
            number = self.rounds.index(asked)
            return m.RoundChanged(
                request_id=asked.request_id,
                number=number,
                round=self._shown(asked),
                tally=self.tally(),
                running=self._running,
                seq=self._seq,
            )

    def _snapshot(self, request_id: str) -> m.Compared:
        with self._mutex:
            return m.Compared(
                request_id=request_id,
                rounds=[self._shown(asked) for asked in self.rounds],
                tally=self.tally(),
                running=self._running,
                blind=self.blind,
                seq=self._seq,
            )

    def _grown(self) -> m.Grown | None:
        with self._mutex:
            if not self.busy:
                return None  # the whole of it comes, or has come
            asked = self.rounds[-1]
            answers = []
            for place, side in enumerate(asked.order):
                entry = asked.entries[side]
                said, told = entry.said, self._told.get(side, (0, 0, "waiting", 0))
                now = (len(entry.pieces), len(entry.thought_pieces), said.state, said.done)
                if entry.ended or now == told:
                    continue
                self._told[side] = now
                answers.append(
                    {
                        "place": place,
                        "text": "".join(entry.pieces[told[0] :]),
                        "thoughts": "".join(entry.thought_pieces[told[1] :]),
                        "state": said.state,
                        "done": said.done,
                        "total": said.total,
                    }
                )
            if not answers:
                return None
            self._seq += 1
            return m.Grown(request_id=asked.request_id, seq=self._seq - 1, answers=answers)

    def _shown(self, asked: Round) -> dict[str, Any]:
        """Return a round as the views may see it: of a blind one nothing that says who is who."""
        if asked is self.rounds[-1]:
            entries = [(side, asked.entries[side]) for side in asked.order]
            self._told = {
                side: (len(each.pieces), len(each.thought_pieces), each.said.state, each.said.done)
                for side, each in entries
            }
        answers = [asked.entries[side].to_dict() for side in asked.order]
        if asked.hidden:
            answers = [{**answer, "usage": None, "timings": None, "seconds": None} for answer in answers]
        vote = asked.order.index(asked.vote) if isinstance(asked.vote, int) else asked.vote
        names = [] if asked.hidden else [self.sides[side].name for side in asked.order]
        return {"message": asked.typed, "names": names, "vote": vote, "blind": asked.blind, "answers": answers}

    @property
    def _running(self) -> str:
        return next((asked.request_id for asked in self.rounds[-1:] if not asked.ended), "")

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:  # noqa: ANN401 - as anywidget has it
        self._kept.display()
        bundle = super()._repr_mimebundle_(**kwargs)
        if bundle is not None:
            bundle[0].update({"text/plain": type(self).__name__, "text/html": ""})  # the page says all there is to say
        return bundle

    def _on_hello(self, message: Hello) -> None:
        self.publish_made(partial(self._snapshot, message.request_id))
        self._writing.show(message.request_id)
        self.send_state({"error"})

    def _on_ask(self, message: t.Ask) -> None:
        self._writing.ask(message)

    def _on_draft(self, message: t.Draft) -> None:
        self._writing.keep(message)

    def _on_complete(self, message: t.Complete) -> None:
        self._writing.complete(message)

    def _on_preview(self, message: t.Preview) -> None:
        self._writing.preview(message)

    def _on_judge(self, message: m.Judge) -> None:
        self.vote(message.vote, message.round)
        self.show(error=None)

    def _on_hide_names(self, message: m.HideNames) -> None:
        self.blind = message.blind
        self.publish(m.BlindChanged(request_id=message.request_id, blind=message.blind))

    def _on_abort(self, message: Abort) -> None:
        filling = self._writing.stop(message.target)
        stopped = self.stop() if message.target in (self._running, "generation", "all") else False
        text = "stopping" if stopped or filling else "nothing was running"
        self.publish(Info(request_id=message.request_id, message=text, data={"target": message.target}))


class _Asked:
    """A comparison as the conversation that a message box writes to."""

    def __init__(self, compared: Compare) -> None:
        self._compared = compared

    @property
    def worker(self) -> Worker:
        """Who counts tokens."""
        return self._compared._worker  # noqa: SLF001 - our own

    @property
    def model(self) -> str:
        """Whose tokens are counted: those of the first side."""
        return self._compared.sides[0].model

    def submit(self, text: str, *, request_id: str) -> None:
        """Ask all sides."""
        self._compared.submit(text, request_id=request_id)
