"""The answer to one question, as Python code gets it."""

from __future__ import annotations

import json
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ..protocol import Timings, Usage

if TYPE_CHECKING:
    from ..worker import Worker
    from .provenance import Provenance
    from .replaying import Replayed

_CUT = ("max_tokens", "context_full", "abort")


@dataclass(frozen=True, kw_only=True)
class Reply:
    """The answer to one question.

    Attributes
    ----------
    text : str
        The answer, with the ``response_prefix`` it was begun with. ``str(reply)`` is the same, and a notebook shows it
        as Markdown. Where tools were called, it is what was said after the last of them.
    stop_reason : str
        Why it ended: "eos", "stop", "max_tokens", "context_full" or "abort".
    usage : Usage
        Token counts: ``prompt_tokens``, ``cached_tokens`` (of the prompt, reused), ``completion_tokens``,
        ``thought_tokens`` of these, ``evaluated_tokens``. Where tools were called, of all rounds together.
    timings : Timings
        ``ttft_s`` (seconds to the first token), ``prefill_tps`` and ``decode_tps`` (tokens per second), ``thought_s``;
        of the last round.
    thoughts : str
        What the model thought before it answered, where it does that.
    model : str
        The model that answered, as it was named.
    tool_calls : list of dict
        The calls of tools in their order: ``id``, ``name``, ``arguments``, ``state`` ("done", "failed", "refused",
        "timeout" or "stopped") and ``result``, which is what the model was told.
    logprobs : list of dict
        Of each token, if ``top_logprobs`` was given: ``token``, ``text``, ``logprob`` and in ``top`` the likeliest.
    dropped : int
        How many of the oldest messages were left out because the context was full.
    notices : list of str
        What there was to say beside it: that the model has no template, what left the context.
    """

    text: str
    stop_reason: str
    usage: Usage = field(default_factory=Usage)
    timings: Timings = field(default_factory=Timings)
    thoughts: str = ""
    model: str = ""
    tool_calls: list[dict[str, Any]] = field(default_factory=list)
    logprobs: list[dict[str, Any]] = field(default_factory=list, repr=False)
    dropped: int = 0
    notices: list[str] = field(default_factory=list)
    schema: Any = field(default=None, repr=False, compare=False)
    provenance: Provenance | None = field(default=None, repr=False, compare=False)
    asked: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    def __str__(self) -> str:
        """Return the text."""
        return self.text

    def _repr_markdown_(self) -> str:
        return self.text

    @property
    def made(self) -> dict[str, Any]:
        """How it was made, as plain data: all that ``replay`` needs, and what its outcome may depend on.

        ``model``, ``model_sha256``, ``quantisation``, ``template_sha256``, ``n_ctx``; ``load`` and ``parameters``, as
        far as they are not the default, the seed that was drawn among them; ``messages`` as the model was told them, or
        ``prompt``; ``versions``, ``hardware`` and ``at``, a time. It takes seconds once, where the hash of a large file
        is not known yet.
        """
        return {**(self.provenance.whole() if self.provenance else {}), **deepcopy(self.asked)}

    def replay(self, model: object = None, *, worker: Worker | None = None) -> Replayed:
        """Make the answer again, from the same messages with the same parameters, and say whether it is the same.

        It runs with ``reproducible=True``. A reply that was made so too comes out the same, bit by bit, as long as
        nothing of what it depends on is different; what is, is told. No tool is called again: the model is told what it
        was told then.

        Parameters
        ----------
        model : str or path or Model, optional
            Another name of the model, where it is not found by that of then; or another model.
        worker : Worker, optional
            Who answers, by default the one that all conversations of this process share.

        Returns
        -------
        Replayed
            ``same``, ``at``, ``differences``; ``print`` shows it.

        Raises
        ------
        ModelNotFoundError
            If the model is not here.
        ParameterError
            If it is not known how the reply was made.
        """
        from .replaying import replay

        return replay(self, model, worker)

    def to_code(self) -> str:
        """Return a cell of Python that makes the answer again: model, messages, parameters and seed.

        Raises
        ------
        ParameterError
            If it is not known how the reply was made.
        """
        from .recipe import code

        return code({**(self.provenance.known() if self.provenance else {}), **self.asked})

    @property
    def parsed(self) -> Any:  # noqa: ANN401 - whatever the schema allows
        """The value of the JSON that ``json_schema`` asked for: plain data, or an instance of the pydantic model.

        ``None`` where no schema was given, and where the answer is not what it asked for: ``parse_error`` says why.
        """
        return self._parse[0]

    @property
    def parse_error(self) -> str:
        """Why there is no ``parsed`` value, such as an answer that was cut; "" where there is one."""
        return self._parse[1]

    @cached_property
    def _parse(self) -> tuple[Any, str]:
        # When it is asked for, on the asker's thread: the validators of a pydantic model are anybody's code.
        if self.schema is None:
            return None, ""
        try:
            value = json.loads(self.text)
        except ValueError as error:
            cut = f"The answer was cut ({self.stop_reason}): " if self.stop_reason in _CUT else ""
            return None, f"{cut}{'it' if cut else 'The answer'} is not whole JSON: {error}"
        if not isinstance(self.schema, type):
            return value, ""
        try:
            return self.schema.model_validate_json(self.text), ""  # type: ignore[attr-defined] # a pydantic model
        except Exception as error:  # noqa: BLE001 - anybody's validators
            return None, f"The answer does not fit {self.schema.__name__}: {error}"
