"""The conversations of a notebook: which cell asked which of their questions.

A conversation is what its cells show. A cell that is run again asks in the place of its question: the model is told
what stands before it, the answers of the cells after it stay where they are, and what was there is a branch beside it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..chat.conversation import Chat

if TYPE_CHECKING:
    from ..chat.answer import Answer
    from ..chat.turns import Turn
    from ..worker import Worker


class CellChat:
    """A conversation and the cells that it consists of.

    Attributes
    ----------
    chat : Chat
        The conversation.
    given : dict
        The model and the system prompt that its cells have named, which the others go on with.
    last : Job or None
        What was begun last: questions of one conversation are asked in turn.
    """

    def __init__(self, worker: Worker | None = None) -> None:
        self.chat = Chat(worker=worker)
        self.given: dict[str, Any] = {}
        self.last: Any = None
        self._questions: dict[str, str] = {}  # the ids of the questions by the cells that asked them
        self._later: list[Turn] = []

    @property
    def asked(self) -> int:
        """How many questions it has."""
        return sum(turn.role == "user" for turn in self.chat.record.turns)

    def submit(self, cell: str, text: str, *, new: bool, **options: Any) -> Answer:  # noqa: ANN401 - as for Chat
        """Ask in the place of what this cell asked before, or at the end; with ``new`` at a beginning."""
        turns = self.chat.record.turns
        ids = [turn.id for turn in turns]
        mine = self._questions.get(cell, "")
        self._later = []
        if mine in ids:
            users = [at for at, turn in enumerate(turns) if turn.role == "user" and at > ids.index(mine)]
            self._later = turns[users[0] :] if users else []
            answer = self.chat.submit_edit(mine, text, **options)
        else:
            if new:
                self.chat.new_conversation()
            answer = self.chat.submit(text, **options)
        if answer.plan.question is not None:
            self._questions[cell] = answer.plan.question.id
        return answer

    def settle(self) -> None:
        """Let what later cells asked and were told follow the answer that has ended."""
        later, self._later = self._later, []
        if not later or later[0].id in {turn.id for turn in self.chat.record.turns}:  # nothing was said in its place
            return
        moved = self.chat.graft(later)
        self._questions = {cell: moved.get(turn, turn) for cell, turn in self._questions.items()}
