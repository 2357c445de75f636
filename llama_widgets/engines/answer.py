"""One answer in the making: what it has read, what it has drawn, and what it tells of both."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from ..errors import ContextOverflowError, ParameterError
from ..protocol import (
    CompletionChunk,
    CompletionDone,
    GenerateChatCompletion,
    Info,
    Progress,
    Timings,
    Usage,
)
from .grammar import Grammar
from .prompt import prompt
from .sampling import Sampler
from .templates.segments import Tags
from .templates.text import AnswerText

if TYPE_CHECKING:
    from typing import Any

    from ..cancel import Cancel
    from ..flow import Lane
    from ..protocol import Event, Generate, Segment, StopReason
    from .cache import Sequence
    from .model import Model
    from .templates.segments import Segment as Part

PAUSE_S = 1 / 60
"""Between two pieces of an answer: nobody sees more of them, and each costs those who listen as much as a small model's
token. One that a faster model makes meanwhile comes with the next; slower ones tell each token at once."""
_REPORTS = 100
_REPORT_TOKENS = 64


class Answer:
    """One request from its prompt to its end.

    Parameters
    ----------
    command : Generate
        The request.
    model : Model
        Who answers.
    n_ctx : int
        Tokens that prompt and answer may have.
    emit : Lane
        Takes the events.
    cancel : Cancel
        Says when to stop.

    Attributes
    ----------
    tokens : list of int
        The prompt and what was drawn so far: all that must be in the memory before the next token is drawn.
    sequence : Sequence or None
        Where they are; None while it waits for a place.
    shared : int
        How many of them lie in the memory for somebody else anyway.

    Raises
    ------
    LlamaWidgetsError
        If the request cannot be answered: nothing has been evaluated then.
    """

    def __init__(self, command: Generate, model: Model, n_ctx: int, emit: Lane[Event], cancel: Cancel) -> None:
        self.command, self.cancel = command, cancel
        self._model, self._n_ctx, self._emit = model, n_ctx, emit
        self._wants_logprobs, self._most = command.options.top_logprobs is not None, command.options.max_tokens
        self._started = time.perf_counter()
        model.check(command.response_tokens)
        self._prompt = prompt(command, model, n_ctx, len(command.response_tokens))
        self.tokens = list(self._prompt.tokens)
        self.sequence: Sequence | None = None
        self.shared = 0
        self._text = AnswerText(*_reading(command, model, self._prompt.text))
        self._parts: dict[str, list[str]] = {"text": [], "thought": [], "call": []}
        self._logprobs: list[dict[str, Any]] = []
        self._told = self._told_logprobs = 0
        self._untold: list[str] = []
        self._untold_segment: Segment = "text"
        self._next_told = self._gap = 0.0
        self._drawn = self._thought = self._cached = self._evaluated = 0
        self._read_s = self._first = self._last = self._thought_from = self._thought_s = 0.0
        self._reported = -1
        grammar = _grammar(command, model)
        self._sampler = Sampler(command.options, model, self.tokens, grammar)
        try:
            if grammar is not None and isinstance(command, GenerateChatCompletion):
                for token in model.tokens(command.response_prefix):
                    self._sampler.accept(token)
            self._thinking = self._text.segment == "thought"
            self._sampler.constrained = not self._thinking
            for token in command.response_tokens:
                self._sampler.accept(token)
                self._put(token)
        except BaseException:
            self._sampler.close()
            raise
        self._tell_dropped(0)
        if self._thinking:
            self._budget_spent()

    @property
    def conversation(self) -> str:
        """Whose memory it goes on from."""
        return self.command.conversation

    @property
    def alone(self) -> bool:
        """Whether it must be computed with nothing beside it and nothing reused."""
        return self.command.options.reproducible

    @property
    def pending(self) -> int:
        """How many of its tokens are not in the memory yet."""
        return len(self.tokens) - (len(self.sequence.tokens) if self.sequence else 0)

    @property
    def drawing(self) -> bool:
        """Whether it adds token after token; otherwise it reads."""
        sequence = self.sequence
        return self._drawn > 0 and sequence is not None and len(self.tokens) - len(sequence.tokens) == 1

    def place(self, sequence: Sequence) -> None:
        """Go on in ``sequence``, which holds the beginning of the tokens."""
        self.sequence = sequence
        if not self._drawn:  # if it had to make room, what it finds now was read for others
            self._cached = len(sequence.tokens)
        self._report()

    def has_read(self, count: int, seconds: float) -> None:
        """Note that ``count`` tokens more are in the memory, after ``seconds``."""
        self._evaluated += count
        self._read_s += seconds
        self._report()

    @property
    def ahead(self) -> float:
        """Seconds until what it has drawn is told."""
        return self._emit.ahead

    def draw(self, context: Any, index: int, gap: float) -> StopReason | None:  # noqa: ANN401 - a pointer
        """Draw the next token from what llama.cpp computed at ``index`` of its batch; return why that was the last.

        It is told now, or where there is a ``gap``, so many seconds after the one before. After "context_full" there is
        no room for it, unless the oldest turns leave.
        """
        self._gap = gap
        token = self._sampler.draw(context, index)
        self._last = time.perf_counter()
        piece = self._model.pieces[token]
        if piece is not None:
            if self._wants_logprobs and (logprobs := self._sampler.logprobs(context, index, token)):
                self._logprobs.append(logprobs)
            self._drawn += 1
            if self._drawn == 1:
                self._first = self._last
            self.tokens.append(token)
            self._add(piece)
            if self._text.stopped:
                return "stop"
            if self._drawn == self._most:
                return "max_tokens"
            if self._thinking:
                self._budget_spent()
        elif not self._thinking or not self._close_thought():
            return "eos"  # one that ends within its thought has not answered yet
        if self.cancel.requested:
            return "abort"
        return "context_full" if len(self.tokens) > self._n_ctx else None

    def shift(self) -> bool:
        """Leave out the oldest turns, so that the answer can go on; return False if none can leave."""
        answered = self.tokens[len(self._prompt.tokens) :]
        if not isinstance(self.command, GenerateChatCompletion):
            return False
        try:
            shorter = prompt(self.command, self._model, self._n_ctx, len(answered))
        except ContextOverflowError:
            return False
        if shorter.dropped <= self._prompt.dropped:
            return False
        self._give(self._text.feed(), now=True)  # reading what is left may take long
        before, self._prompt = self._prompt.dropped, shorter
        self.tokens = shorter.tokens + answered
        self._tell_dropped(before)
        return True

    def end(self, reason: StopReason) -> None:
        """Tell the whole answer."""
        self.close()
        self._give(self._text.flush(), now=True)
        text, calls = self._calls()
        if calls and reason != "abort":
            reason = "tool_calls"
        self._emit(
            CompletionDone(
                request_id=self.command.request_id,
                text=text,
                stop_reason=reason,
                thoughts="".join(self._parts["thought"]),
                tool_calls=calls,
                logprobs=self._logprobs,
                dropped=self._prompt.dropped,
                usage=Usage(
                    prompt_tokens=len(self._prompt.tokens),
                    cached_tokens=self._cached,
                    completion_tokens=len(self.command.response_tokens) + self._drawn,
                    thought_tokens=self._thought,
                    evaluated_tokens=self._evaluated,
                ),
                timings=self._timings(),
            )
        )

    def fail(self, event: Event) -> None:
        """End it with an error, after what was drawn until then."""
        self.close()
        self._give(self._text.feed(), now=True)
        self._emit(event)

    def close(self) -> None:
        """Free what draws the tokens."""
        self._sampler.close()

    # Its text

    def _add(self, piece: bytes) -> None:
        """Take the text of a token. What cannot be more than text is looked at when it is to be told."""
        pieces = self._text.feed(piece, hold=not self._gap and self._last < self._next_told)
        thinking = self._text.segment == "thought"
        if self._thinking or thinking:
            self._thought += 1
            self._thought_from = self._thought_from or self._last
            self._thought_s = self._last - self._thought_from
            self._thinking, self._sampler.constrained = thinking, not thinking
        if pieces or self._untold:
            self._give(pieces)

    def _give(self, pieces: list[tuple[Part, str]], *, now: bool = False) -> None:
        for segment, text in pieces:
            self._parts[segment].append(text)
            if segment == "call":
                continue
            if segment != self._untold_segment:
                self._tell()
                self._untold_segment = segment
            self._untold.append(text)
        if now or (self._untold and (self._gap or self._last >= self._next_told)):
            self._tell()

    def _tell(self) -> None:
        """Tell what has not been told yet."""
        if not self._untold and self._told_logprobs == len(self._logprobs):
            return
        self._next_told = self._last + PAUSE_S
        text, self._untold = "".join(self._untold), []
        logprobs = self._logprobs[self._told_logprobs :]
        self._told_logprobs = len(self._logprobs)
        chunk = CompletionChunk(
            request_id=self.command.request_id,
            seq=self._told,
            text=text,
            tokens=self._drawn,
            segment=self._untold_segment if text else "text",
            logprobs=logprobs,
        )
        self._told += 1
        if self._gap:
            self._emit.later(chunk, self._gap)
        else:
            self._emit(chunk)

    def _put(self, token: int) -> None:
        """Add a token that was not drawn."""
        self.tokens.append(token)
        self._add(self._model.pieces[token] or b"")

    def _calls(self) -> tuple[str, list[dict[str, Any]]]:
        """Return the text and the tool calls in it; what is no call after all is text."""
        text, written = "".join(self._parts["text"]), "".join(self._parts["call"])
        if not isinstance(self.command, GenerateChatCompletion) or not written:
            return text, []
        tools = self._model.template.tools
        whole = written.rpartition(tools.close)[0] + tools.close if tools.close else ""  # the last one may be cut
        calls = tools.parse(written, self.command.tools) or tools.parse(whole, self.command.tools)
        if not calls:
            self._untold_segment, self._untold = "text", [written]
            self._tell()
            return text + written, []
        return text, [{"id": f"{self.command.request_id}-{index}", **call} for index, call in enumerate(calls)]

    def _budget_spent(self) -> None:
        """Close a thought that has used its tokens."""
        budget = self.command.options.thinking_budget
        if budget is not None and self._thought >= budget:
            self._close_thought()

    def _close_thought(self) -> bool:
        """Put there what the model would have written at the end of its thought; return whether that closed it."""
        for token in self._model.tokens(self._text.closing):
            self._put(token)
        return not self._thinking

    # What it tells

    def _report(self) -> None:
        """Tell how much of the prompt is read: at most a hundred times, and not for every few tokens."""
        if self._drawn or self.sequence is None:
            return
        total = len(self._prompt.tokens)
        done = min(len(self.sequence.tokens), total)
        step = max(_REPORT_TOKENS, total // _REPORTS)
        if done < total and 0 <= self._reported <= done < self._reported + step:
            return
        self._reported = done
        rate = self._evaluated / self._read_s if self._read_s else None
        eta = (total - done) / rate if rate else None
        self._emit(
            Progress(
                request_id=self.command.request_id, operation="prefill", done=done, total=total, rate=rate, eta_s=eta
            )
        )

    def _tell_dropped(self, before: int) -> None:
        dropped = self._prompt.dropped
        if dropped > before:
            many = "The oldest message no longer fits"
            if dropped > 1:
                many = f"The {dropped:,} oldest messages no longer fit"
            self._emit(
                Info(
                    request_id=self.command.request_id,
                    message=f"{many} into the context of {self._n_ctx:,} tokens, and the model does not see them.",
                    data={"dropped": dropped, "n_ctx": self._n_ctx},
                )
            )

    def _timings(self) -> Timings:
        drawing = self._last - self._first
        return Timings(
            ttft_s=self._first - self._started if self._drawn else None,
            prefill_tps=self._evaluated / self._read_s if self._read_s else None,
            decode_tps=(self._drawn - 1) / drawing if self._drawn > 1 and drawing else None,
            thought_s=self._thought_s if self._thought else None,
        )


def _reading(command: Generate, model: Model, text: str) -> tuple[list[str], Tags, str, bool]:
    """Return how the text of an answer is read: what ends it, what the tags are, what it follows, and its tools."""
    if not isinstance(command, GenerateChatCompletion):
        return command.options.stop, Tags(None, None), text, False
    template = model.template
    return [*command.options.stop, *template.stop], template.tags, text, _offers_tools(command)


def _grammar(command: Generate, model: Model) -> Grammar | None:
    grammar = Grammar.of(command.options)
    if not isinstance(command, GenerateChatCompletion) or command.tool_choice == "none" or not command.tools:
        return grammar
    if grammar is not None:
        msg = "An answer cannot both follow a grammar and call tools."
        raise ParameterError(msg, 'Leave out the tools, or give tool_choice="none".')
    return model.template.tools.grammar(command.tools, command.tool_choice)


def _offers_tools(command: GenerateChatCompletion) -> bool:
    return bool(command.tools) and command.tool_choice != "none"
