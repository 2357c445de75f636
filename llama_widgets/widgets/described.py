"""The settings of a panel, as they are shown: what they are called, what they take, and what they do.

All of it comes from the declarations of the options: their types, ranges, defaults and docstrings.
"""

from __future__ import annotations

import functools
import re
import types
import typing
from dataclasses import MISSING, Field, fields
from typing import Any

from ..chat.classrooms import SET
from ..chat.docstrings import attributes
from ..chat.settings import AnswerOptions
from ..options import GenerationOptions, LoadOptions
from .traits import OPTIONS, TRAITS, AnswerTraits, travelling

if typing.TYPE_CHECKING:
    from ..chat.classrooms import Classroom

_GROUPS: dict[str, tuple[str, ...]] = {
    "": ("system", "temperature", "max_tokens", "thinking", "seed", "n_ctx"),
    "Which tokens are considered": (
        *("top_k", "top_p", "min_p", "typical_p", "top_n_sigma", "dynatemp_range", "dynatemp_exponent"),
        *("xtc_probability", "xtc_threshold", "mirostat", "mirostat_tau", "mirostat_eta"),
    ),
    "Repetition": (
        *("repeat_penalty", "frequency_penalty", "presence_penalty", "repeat_last_n"),
        *("dry_multiplier", "dry_base", "dry_allowed_length", "dry_penalty_last_n", "dry_sequence_breakers"),
    ),
    "End and form of the answer": ("stop", "grammar", "json_schema", "logit_bias", "top_logprobs"),
    "Thoughts, context, tools": (
        *("thinking_budget", "context_overflow", "reproducible", "tool_choice", "tool_timeout", "max_tool_rounds"),
    ),
}
"""What belongs together, by the heading it is folded under. The first is always in sight."""

_LABELS = {"system": "System prompt", "n_ctx": "Context size", "stop": "Stop texts", "json_schema": "JSON schema"}
_WIDEST_SLIDER = 10
"""A slider is for ranges up to this: in wider ones a pixel is too much."""


@functools.cache
def described() -> dict[str, dict[str, Any]]:
    """Return every option of a load, a question and an answer that is plain data, by its name in the declaration.

    Each has ``name`` (that of its trait), ``label``, ``help``, ``kind`` and ``default``, and where it makes sense
    ``low``, ``high``, ``step`` (of a slider), ``options`` (to choose from) and ``empty`` (whether it may be).
    """
    shown: dict[str, dict[str, Any]] = {"system": _system()}
    for cls in (LoadOptions, GenerationOptions, AnswerOptions):
        hints, texts = typing.get_type_hints(cls), attributes(cls)
        shown |= {each.name: _setting(each, hints[each.name], texts.get(each.name, "")) for each in fields(cls)}
    return shown


@functools.cache
def groups() -> list[dict[str, Any]]:
    """Return all settings in their groups: ``{"title": ..., "settings": [...]}``."""
    known = described()
    return [{"title": title, "settings": [known[name] for name in names]} for title, names in _GROUPS.items()]


def groups_of(room: Classroom) -> list[dict[str, Any]]:
    """Return the settings as a class has them: with its defaults, and in ``locked`` why one cannot be changed."""
    return [{**group, "settings": [_in_class(setting, room) for setting in group["settings"]]} for group in groups()]


def _in_class(setting: dict[str, Any], room: Classroom) -> dict[str, Any]:
    name = OPTIONS.get(setting["name"], setting["name"])
    if name not in room.given:
        return setting
    locked = {"locked": SET} if name in room.locked else {}
    return {**setting, "default": travelling(room.value(name)), **locked}


def _system() -> dict[str, Any]:
    text = AnswerTraits.system.help
    return {"name": "system", "label": _LABELS["system"], "help": text, "kind": "text", "default": None, "empty": True}


def _setting(spec: Field[Any], hint: Any, text: str) -> dict[str, Any]:  # noqa: ANN401 - whatever an annotation is
    options = _choices(hint)
    kinds = _parts(hint)
    default = spec.default if spec.default_factory is MISSING else spec.default_factory()
    name = TRAITS.get(spec.name, spec.name)
    shown: dict[str, Any] = {
        "name": name,
        "label": _LABELS.get(spec.name) or _label(spec.name),
        "help": _first_sentence(text),
        "default": default,
    }
    if float in kinds or int in kinds:
        low, high = spec.metadata["range"]
        shown |= {"kind": "number", "low": low, "high": high}
        if low is not None and high is not None and high - low <= _WIDEST_SLIDER:
            shown["step"] = 1 if int in kinds else 0.01 if high - low <= 1 else 0.05
    elif options:
        shown |= {"kind": "choice", "options": options}
    else:
        kind = next(kind for kind in (typing.get_origin(each) or each for each in kinds) if kind is not type(None))
        shown["kind"] = {bool: "flag", str: "text", list: "lines", dict: "json"}[kind]
    if type(None) in kinds:
        shown["empty"] = True
    return shown


def _parts(hint: Any) -> tuple[Any, ...]:  # noqa: ANN401
    return typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, types.UnionType) else (hint,)


def _choices(hint: Any) -> list[Any]:  # noqa: ANN401
    """Return what can be chosen, where it is not a number: the words, and both truth values beside them."""
    words = [
        word for part in _parts(hint) if typing.get_origin(part) is typing.Literal for word in typing.get_args(part)
    ]
    return [*words, True, False] if words and bool in _parts(hint) else words


def _label(name: str) -> str:
    words = name.replace("_", " ")
    return re.sub("^(dry|xtc)", lambda found: found[0].upper(), words[0].upper() + words[1:], flags=re.IGNORECASE)


def _first_sentence(text: str) -> str:
    """Return the beginning of what a docstring says, as a person reads it who does not write Python."""
    sentence = re.split(r"(?<=[.]) ", text, maxsplit=1)[0]
    return sentence.replace("``None``", "empty").replace("``", "")
