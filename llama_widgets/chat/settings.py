"""What questions are asked with: how the answer is made, thoughts, tools."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

from ..errors import LockedError, ParameterError
from ..options import GenerationOptions
from ..wire import build, known, param
from .tools import Tool
from .turns import without_lone_surrogates

Confirm = Callable[[str, dict[str, Any]], object]


@dataclass(frozen=True, kw_only=True)
class AnswerOptions:
    """What an answer is asked for with, beside ``GenerationOptions``.

    Attributes
    ----------
    thinking : bool or "auto"
        Whether the model thinks before it answers, where its template knows how; "auto" leaves it to the model.
    response_prefix : str
        The beginning of the answer, from which the model goes on.
    tool_choice : "auto", "required" or "none"
        Whether the model may, must or must not call a tool first.
    tool_timeout : float or None
        Seconds after which the model is told that a tool takes too long; ``None`` is never. The tool's thread is left
        to itself then, as Python cannot end one.
    max_tool_rounds : int
        How often in one answer the model may call tools and be told of the results; then it must answer.
    """

    thinking: bool | Literal["auto"] = "auto"
    response_prefix: str = ""
    tool_choice: Literal["auto", "required", "none"] = "auto"
    tool_timeout: float | None = param(60.0, 0, None)
    max_tool_rounds: int = param(8, 0, 1_000)


@dataclass(frozen=True, kw_only=True)
class Settings(AnswerOptions):
    """All that a question is asked with.

    Attributes
    ----------
    tools : tuple of Tool
        What the model may call.
    confirm : callable or None
        Is asked before each call, with the tool's name and the arguments; what it returns says whether it may be made.
    options : GenerationOptions
        How the answer is made.
    schema : dict, type or None
        What ``json_schema`` was given as: a JSON schema, or the pydantic model that the answer becomes.
    locked : dict of str to str
        What cannot be changed, each with where that was said.
    """

    tools: tuple[Tool, ...] = ()
    confirm: Confirm | None = None
    options: GenerationOptions = field(default_factory=GenerationOptions)
    schema: Any = None
    locked: Mapping[str, str] = field(default_factory=dict)

    @property
    def offered(self) -> list[dict[str, Any]]:
        """What a model is told of the tools that it may call."""
        return [] if self.tool_choice == "none" else [tool.spec for tool in self.tools]

    def value(self, name: str) -> Any:  # noqa: ANN401 - an option of any type
        """Return the value of one of ``NAMES`` as it was given."""
        if name == "json_schema":
            return self.schema
        return getattr(self.options if hasattr(self.options, name) else self, name)

    def changed(self, changes: Mapping[str, Any]) -> Settings:
        """Return these settings with some of them changed; raises ``ParameterError`` for what cannot be.

        A ``LockedError``, which is one, is raised for what is locked at another value.
        """
        if unknown := [name for name in changes if name not in NAMES]:
            msg = f"{unknown[0]!r} is not an option of a question."
            raise ParameterError(msg, known(unknown[0], NAMES))
        mine, made = ({k: v for k, v in changes.items() if k in names} for names in (_ANSWER, _GENERATION))
        own: dict[str, Any] = {name: getattr(_checked(AnswerOptions, mine), name) for name in mine}
        if "response_prefix" in mine:
            own["response_prefix"] = without_lone_surrogates(own["response_prefix"])
        if "tools" in changes:
            own["tools"] = _tools(changes["tools"])
        if "confirm" in changes:
            own["confirm"] = _confirm(changes["confirm"])
        if "json_schema" in changes:
            own["schema"], made["json_schema"] = _schema(changes["json_schema"])
        options = _checked(GenerationOptions, made)
        own["options"] = replace(self.options, **{name: getattr(options, name) for name in made})
        settings = replace(self, **own)
        for name in changes:
            if name in self.locked and settings.value(name) != self.value(name):
                raise LockedError.of(name, self.locked[name])
        return settings


_ANSWER = tuple(f.name for f in fields(AnswerOptions))
_GENERATION = tuple(f.name for f in fields(GenerationOptions))
NAMES = (*_ANSWER, "tools", "confirm", *_GENERATION)
"""Everything that ``Settings.changed`` takes."""


def _checked(cls: type[Any], values: dict[str, Any]) -> Any:  # noqa: ANN401
    return build(cls, values, where="a question's options", error=ParameterError)


def _tools(tools: object) -> tuple[Tool, ...]:
    if tools is None:
        return ()
    if isinstance(tools, (str, Mapping)) or not isinstance(tools, Iterable):
        msg = f"'tools' must be a list of functions, not {type(tools).__name__}."
        raise ParameterError(msg, "For example tools=[weather], where weather is a function with a docstring.")
    found = tuple(Tool.of(tool) for tool in tools)
    names = [tool.name for tool in found]
    if twice := [name for name in names if names.count(name) > 1]:
        msg = f"Two tools have the name {twice[0]!r}."
        raise ParameterError(msg, "Give one of them another: lw.Tool.of(function, name='...').")
    return found


def _confirm(confirm: object) -> Confirm | None:
    if confirm is None or callable(confirm):
        return confirm
    msg = f"'confirm' must be a function, not {type(confirm).__name__}."
    raise ParameterError(msg, "It takes the tool's name and a dict of arguments, and returns whether to go on.")


def _schema(schema: Any) -> tuple[Any, dict[str, Any] | None]:  # noqa: ANN401
    """Return what the reply is parsed with, and the JSON schema that the engine is given."""
    if schema is None or isinstance(schema, dict):
        return schema, schema
    if isinstance(schema, type) and hasattr(schema, "model_json_schema"):
        try:
            return schema, schema.model_json_schema()
        except Exception as error:
            msg = f"No JSON schema can be made of {schema.__name__}: {error}"
            raise ParameterError(msg, "Give the schema as a dict.") from error
    msg = f"'json_schema' must be a JSON schema or a pydantic model, not {schema!r:.80}."
    raise ParameterError(
        msg, "Give a dict such as {'type': 'object', ...}, or a class derived from pydantic.BaseModel."
    )
