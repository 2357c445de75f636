"""One message and what each side said to it, on its way and as plain data."""

from __future__ import annotations

import time
from concurrent.futures import Future
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from .. import protocol as p
from ..chat.turns import without_lone_surrogates
from ..errors import LlamaWidgetsError, ParameterError
from ..filling import Filled
from ..requests import error_event, new_id
from ..wire import build

if TYPE_CHECKING:
    from ..chat.conversation import Chat
    from ..chat.reply import Reply

State = Literal["waiting", "loading", "prefill", "generating", "done", "failed"]


@dataclass(kw_only=True)
class Said:
    """What one side said, as plain data: it can be saved, and read again."""

    text: str = ""
    thoughts: str = ""
    stop_reason: str = ""
    state: State = "waiting"
    done: int = 0
    total: int | None = None
    usage: p.Usage | None = None
    timings: p.Timings | None = None
    seconds: float | None = None
    error: str = ""


class Entry:
    """What one side says in a round, while it does.

    Attributes
    ----------
    said : Said
        All but the text, which is in ``pieces`` while it grows.
    pieces, thought_pieces : list of str
        What has come.
    reply : Reply or None
        The answer, once it has ended.
    failure : LlamaWidgetsError or None
        Why there is none.
    """

    def __init__(self, said: Said | None = None) -> None:
        self.said = said or Said()
        self.request_id = new_id()
        self.submitted = False
        self.pieces: list[str] = []
        self.thought_pieces: list[str] = []
        self.reply: Reply | None = None
        self.failure: LlamaWidgetsError | None = None
        self.event: p.Error | None = None
        self._begun: float | None = None

    @property
    def ended(self) -> bool:
        """Whether nothing more comes."""
        return self.said.state in ("done", "failed")

    def hear(self, event: p.Event) -> bool:
        """Take an event; return whether something is other than before."""
        said = self.said
        match event:
            case p.Progress(operation="load" | "prefill"):
                said.state = "loading" if event.operation == "load" else "prefill"
                said.done, said.total = event.done, event.total
            case p.CompletionChunk():
                said.state = "generating"
                (self.thought_pieces if event.segment == "thought" else self.pieces).append(event.text)
            case _:
                return False
        self._begun = self._begun or time.monotonic()
        return True

    def end(self, future: Future[Reply]) -> None:
        """Take what the answer ended in."""
        said = self.said
        said.seconds = time.monotonic() - self._begun if self._begun else 0.0
        failure = future.exception()
        if failure is None:
            reply = self.reply = future.result()
            said.text, said.thoughts, said.stop_reason = reply.text, reply.thoughts, reply.stop_reason
            said.usage, said.timings, said.state = reply.usage, reply.timings, "done"
        else:
            self.fail(failure)
        self.pieces, self.thought_pieces = [], []
        said.done, said.total = 0, None

    def fail(self, error: BaseException) -> None:
        """End in an error, with what was said until then."""
        told = self.event = error_event(self.request_id, error)
        self.failure = error if isinstance(error, LlamaWidgetsError) else LlamaWidgetsError(told.message, told.hint)
        self.said.text, self.said.thoughts = "".join(self.pieces), "".join(self.thought_pieces)
        self.said.error = f"{told.message} {told.hint}".rstrip()
        self.said.stop_reason, self.said.state = "error", "failed"

    def to_dict(self) -> dict[str, Any]:
        """Return it as it stands, as plain data."""
        plain = asdict(self.said)
        if not self.ended:
            plain |= {"text": "".join(self.pieces), "thoughts": "".join(self.thought_pieces)}
        return plain


@dataclass(eq=False, kw_only=True)
class Round:
    """One message to all sides.

    Attributes
    ----------
    message : str
        What was asked.
    order : list of int
        Which side stands at each place, from the left.
    entries : list of Entry
        What each side says, by the numbers of the sides.
    vote : int, "tie" or None
        The side that was better.
    blind : bool
        Whether nobody knows which side is which until there is a vote.
    """

    message: str
    order: list[int]
    entries: list[Entry]
    vote: int | Literal["tie"] | None = None
    blind: bool = False
    request_id: str = field(default_factory=new_id)
    stopped: bool = False
    over: bool = False
    chats: list[Chat] = field(default_factory=list)
    future: Future[None] = field(default_factory=Future)

    def __post_init__(self) -> None:
        """See to it that a cancelled waiter does not cancel the round's own end."""
        self.future.set_running_or_notify_cancel()

    @property
    def ended(self) -> bool:
        """Whether all have answered."""
        return all(entry.ended for entry in self.entries)

    @property
    def hidden(self) -> bool:
        """Whether nobody may know yet which side is which."""
        return self.blind and self.vote is None

    @property
    def empty(self) -> bool:
        """Whether nobody has said anything, and no one was stopped before he could."""
        return all(entry.failure is not None and not entry.said.text for entry in self.entries)

    @property
    def typed(self) -> str:
        """What was typed, where the message was filled, as it can travel."""
        return without_lone_surrogates(self.message.typed if isinstance(self.message, Filled) else self.message)

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "message": without_lone_surrogates(self.message),
            "order": self.order,
            "vote": self.vote,
            "blind": self.blind,
            "answers": [entry.to_dict() for entry in self.entries],
        }


def read_round(data: Any, sides: int) -> Round:  # noqa: ANN401 - whatever JSON holds
    """Return a round that was saved; raises ``ValueError`` or ``LookupError`` if it is none."""
    said = [build(Said, dict(each), where="an answer", error=ParameterError) for each in data["answers"]]
    vote, order = data["vote"], data["order"]
    if len(said) != sides or sorted(order) != list(range(sides)) or vote not in (None, "tie", *range(sides)):
        msg = f"a round does not fit {sides} sides"
        raise ValueError(msg)
    for each in said:
        if each.state not in ("done", "failed"):  # it was saved while it was made
            each.state, each.stop_reason = "done", "abort"
    entries = [Entry(each) for each in said]
    return Round(message=str(data["message"]), order=list(order), entries=entries, vote=vote, blind=bool(data["blind"]))
