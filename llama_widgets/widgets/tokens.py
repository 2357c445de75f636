"""TokenView: what a text, an answer and a conversation are made of, token by token."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar, get_args

import traitlets

from ..chat.exporting import table
from ..library.references import model_text
from ..options import GenerationOptions
from ..requests import error_event
from ..tokens.lines import Lines
from ..tokens.stepping import Stepper
from ..tokens.subject import subject
from ..worker import Worker, shared
from . import coloured
from .base import LlamaWidget
from .jobs import Jobs
from .kept_table import KeptTable
from .messages import FROM_VIEW
from .messages import tokens as m
from .panel import ChatPanel
from .reading import of_context, of_template
from .tokenizing import name_of, of_ids, of_text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .. import protocol as p
    from ..tokens.lines import Line
    from ..wire import Message
    from .messages import Hello

_COLUMNS: dict[str, type] = {
    "answer": str, "position": int, "token": int, "text": str, "logprob": float, "rank": int, "surprise": float
}  # fmt: skip
_GENERATION = frozenset(GenerationOptions.__dataclass_fields__)


class TokenView(LlamaWidget):
    """Shows a text or an answer token by token: how likely each was, and what else it could have been.

    Parameters
    ----------
    source : str, Reply, Chat, ChatPanel or list of dict
        A text; a reply, best of all one made with ``top_logprobs``; or a conversation, whose last answer is shown.
    model : str or path or Model, optional
        Who reads it: by default the model of the source or of the classroom, or the one in memory.
    tab : str
        What is shown first: "probabilities", "next", "tokenizer", "template" or "context".
    worker : Worker, optional
        Who is asked; by default the one that all conversations of this process share.
    **options
        How branches and next tokens are made, as in ``GenerationOptions``: max_tokens, temperature, top_k, ...

    Attributes
    ----------
    tab : str
        What is shown first in each view.
    busy : list of str
        The tabs for which the model is at work.
    error : dict or None
        What went wrong last: ``code``, ``message``, ``hint``.
    told : dict
        What the tabs show beside the answers, by the type of the message: "steps", "tokenized", "template", "context".
    stepper : Stepper
        The text that is written token by token in the tab "next".

    Examples
    --------
    >>> lw.TokenView("The capital of France is Paris.")  # doctest: +SKIP
    >>> lw.TokenView(chat, tab="next")  # doctest: +SKIP
    """

    _arguments = frozenset({"source", "model", "worker", *_GENERATION})
    _takes: ClassVar[dict[str, type[Message]]] = FROM_VIEW | m.FROM_VIEW

    tab = traitlets.Enum(get_args(m.Tab), "probabilities", help="What is shown first.").tag(sync=True)
    busy = traitlets.List(traitlets.Unicode(), read_only=True, help="What the model is at work on.").tag(sync=True)
    asked = traitlets.Unicode(read_only=True, help="The model that is asked.").tag(sync=True)

    def __init__(
        self,
        source: object,
        model: object = None,
        *,
        worker: Worker | None = None,
        **given: Any,  # noqa: ANN401 - checked by the base
    ) -> None:
        options = {name: given.pop(name) for name in _GENERATION & given.keys()}
        about = subject(source._chat if isinstance(source, ChatPanel) else source, model, options)  # noqa: SLF001 - ours
        asked = worker or (about.chat.worker if about.chat is not None else shared())
        self._lines = Lines(about, asked, self._tell_line, self._tell_grown)
        self.stepper = Stepper(about, asked)
        self._worker = asked
        self._about = about
        self.told: dict[str, Any] = {}  # what tabs were told, for views that come later
        self._made: set[str] = set()
        self._jobs = Jobs(self._draw_busy, self._failed)
        super().__init__(**given)
        self.show(asked=name_of(about.model or ""))
        self._make(self.tab)

    @property
    def lines(self) -> list[Line]:
        """The answers: the first, and its branches."""
        return self._lines.all

    def wait(self) -> None:
        """Wait until the model has done what was asked of it."""
        self._jobs.wait()

    def to_dataframe(self, library: str | None = None) -> Any:  # noqa: ANN401 - of pandas or polars
        """Return a table with a row for each token of the answers, as ``Chat.to_dataframe`` makes it."""
        rows = [
            {
                "answer": line.title,
                "position": position,
                **{name: each[name] for name in ("token", "text", "logprob")},
                "rank": each["rank"] or None,
                "surprise": None if each["logprob"] is None else -each["logprob"] / math.log(2),
            }
            for line in self.lines
            for position, each in enumerate(line.whole)
        ]
        return table(rows, _COLUMNS, library)

    def branch(self, position: int, token: int, line: str = "") -> Line:
        """Go on with another token, without waiting.

        Parameters
        ----------
        position : int
            Which token is another one, counted from 0.
        token : int
            The id of one of its alternatives.
        line : str
            The id of one of ``lines``, by default the first.

        Returns
        -------
        Line
            The new answer, which grows.

        Raises
        ------
        ParameterError
            If there is no such token.
        """
        branch = self._lines.branch(position, token, line)
        self.show(error=None)
        self._jobs.add("probabilities", lambda: self._lines.grow(branch))
        return branch

    def begin(self, text: str) -> None:
        """Look what may come after a text, without waiting."""
        self._step(lambda: self.stepper.begin(text))

    def take(self, token: int) -> None:
        """Take one of the tokens that may come next, without waiting."""
        self._step(lambda: self.stepper.take(token))

    def draw(self, **settings: float) -> None:
        """Draw the next token with these settings (temperature, top_k, top_p, min_p), without waiting."""
        self._step(lambda: self.stepper.draw(**settings))

    def undo(self) -> None:
        """Take the last token away again, without waiting."""
        self._step(self.stepper.undo)

    def tokenize(self, text: str, models: Sequence[object] = ()) -> None:
        """Show a text as the tokens of these models, by default of that which is asked, without waiting."""
        named = [model_text(model) for model in models]
        self._jobs.add("tokenizer", lambda: self._tell(of_text(text, named or self._asked(), self._worker)))

    def detokenize(self, ids: Sequence[int], models: Sequence[object] = ()) -> None:
        """Show what text these tokens of the first model are, without waiting."""
        named = [model_text(model) for model in models]
        self.show(error=None)
        self._jobs.add("tokenizer", lambda: self._tell(of_ids(ids, named or self._asked(), self._worker)))

    def stop(self) -> bool:
        """Stop what the model is at; return whether there was something."""
        requests = [self.stepper.request_id, *(line.id for line in self.lines if line.growing)]
        return bool([each for request in requests if request for each in self._worker.abort(request)])

    def close(self) -> None:
        """End the widget, and what it asked for."""
        if hasattr(self, "_jobs"):
            self.stop()
        super().close()

    def _asked(self) -> list[str]:
        """Return the model that is asked, as a list."""
        loaded = self._worker.loaded
        name = self._about.model or (loaded.model if loaded else "")
        return [name] if name else []

    def _step(self, action: Callable[[], None]) -> None:
        def act() -> None:
            action()
            self._tell(self._steps())

        self.show(error=None)
        self._jobs.add("next", act)

    def _make(self, tab: m.Tab) -> None:
        """Make what a tab shows, if that was not done."""
        if tab in self._made:
            return
        self._made.add(tab)
        if tab == "probabilities":
            self._jobs.add(tab, self._lines.read)
        elif tab == "next":
            self._step(self.stepper.look)
        elif tab in ("template", "context"):
            self._made.discard(tab)  # a conversation goes on
            self._jobs.add(
                tab, lambda: self._tell((of_template if tab == "template" else of_context)(self._about, self._worker))
            )
        elif tab == "tokenizer":
            self.tokenize(self._about.prompt + self._about.text)

    def _tell(self, message: Message) -> None:
        """Tell the views, and those that come later."""
        self.told[message.type] = message
        self.publish(message)

    def _tell_line(self, line: Line) -> None:
        self.publish(self._line(line) if line in self.lines else m.LineGone(request_id=line.id, line=line.id))

    def _tell_grown(self, line: Line, before: int) -> None:
        self.publish(m.Grown(request_id=line.id, line=line.id, at=before, tokens=line.tokens[before:]))

    def _line(self, line: Line) -> m.Line:
        return m.Line(
            request_id=line.id,
            id=line.id,
            title=line.title,
            tokens=list(line.tokens),
            parent=line.parent.id if line.parent else "",
            position=line.position,
            n_vocab=self._lines.n_vocab,
            growing=line.growing,
        )

    def _steps(self) -> m.Steps:
        step = self.stepper
        return m.Steps(
            request_id=step.request_id,
            prompt=step.prompt,
            chat=step.of_chat,
            ended=step.ended,
            taken=step.taken,
            tokens=[each["token"] for each in step.likeliest],
            texts=[each["text"] for each in step.likeliest],
            logprobs=[round(each["logprob"], 5) for each in step.likeliest],
            tail=step.tail,
            **step.settings,
        )

    def _draw_busy(self) -> None:
        self.show(busy=self._jobs.names)

    def _failed(self, error: Exception) -> None:
        self.fail(error_event("", error))

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:  # noqa: ANN401 - as anywidget has it
        try:
            self.wait()  # what is saved with the notebook shall have the tokens; nobody is told of later ones
        except KeyboardInterrupt:
            self.stop()
        # In an output of its own: of one with a widget, exported pages and JupyterLab show the widget or nothing.
        KeptTable([self.as_html], type(self).__name__).display()
        bundle = super()._repr_mimebundle_(**kwargs)
        if bundle is not None:
            bundle[0].update({"text/plain": self._text(), "text/html": ""})
        return bundle

    def as_html(self) -> str:
        """Return what there is to read, without scripts."""
        return coloured.page(self.lines, self.told)

    def _text(self) -> str:
        return "\n".join(f"{line.title}: {line.text}" for line in self.lines) or type(self).__name__

    def _on_hello(self, _message: Hello) -> None:
        for line in self.lines:
            self.publish(self._line(line))
        for message in self.told.values():
            self.publish(message)
        self.send_state({"busy", "error", "asked", "tab"})

    def _on_show_tab(self, message: m.ShowTab) -> None:
        self._make(message.tab)

    def _on_branch(self, message: m.Branch) -> None:
        self.branch(message.position, message.token, message.line)

    def _on_predict(self, message: m.Predict) -> None:
        self.begin(message.text)

    def _on_take(self, message: m.Take) -> None:
        self.take(message.token)

    def _on_draw(self, message: m.Draw) -> None:
        self.draw(temperature=message.temperature, top_k=message.top_k, top_p=message.top_p, min_p=message.min_p)

    def _on_untake(self, _message: m.Untake) -> None:
        self.undo()

    def _on_tokenize(self, message: m.Tokenize) -> None:
        self.tokenize(message.text, message.models)

    def _on_detokenize(self, message: m.Detokenize) -> None:
        self.detokenize(message.ids, message.models)

    def _on_abort(self, message: p.Abort) -> None:
        self._worker.abort(message.target)
