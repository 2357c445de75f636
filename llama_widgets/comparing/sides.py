"""Who is compared: models, settings, or conversations that are there already, and what they are called."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from ..chat import settings
from ..chat.asking import Asking
from ..chat.conversation import Chat
from ..chat.turns import without_lone_surrogates
from ..errors import ParameterError
from ..library.filenames import describe
from ..library.references import model_text
from ..wire import known

if TYPE_CHECKING:
    from ..worker import Worker

FEWEST, MOST = 2, 4
LETTERS = "ABCD"
_KEYS = ("name", "model", "system", *settings.NAMES)
_EXAMPLE = 'For example lw.Compare([{"temperature": 0}, {"temperature": 1}], model=lw.models()[0]).'
_LONGEST = 60


@dataclass(frozen=True, kw_only=True)
class Side:
    """One of those that are compared.

    Attributes
    ----------
    name : str
        What tells it from the others.
    model : str
        The model that answers, as it is named.
    settings : dict
        What it is asked with beside the defaults, as plain data.
    begin : callable
        Returns the conversation that is asked next: a new one, or always the one that was given.
    given : bool
        Whether that is a conversation or a panel of the user's.
    """

    name: str
    model: str
    settings: dict[str, Any] = field(default_factory=dict)
    begin: Callable[[], Chat] = field(repr=False, compare=False)
    given: bool = False


def read_sides(given: object, *, model: object, worker: Worker | None, options: Mapping[str, Any]) -> list[Side]:
    """Return the sides that somebody gives.

    Raises
    ------
    ParameterError
        If they are not two to four, or one of them is nothing that can be asked.
    """
    if isinstance(given, Mapping):
        given = [_named(name, each) for name, each in given.items()]
    if isinstance(given, (str, bytes)) or not isinstance(given, Iterable):
        msg = f"What is compared must be a list of models, settings or panels, not {type(given).__name__}."
        raise ParameterError(msg, _EXAMPLE)
    items = list(given)
    if not FEWEST <= len(items) <= MOST:
        msg = f"There are {FEWEST} to {MOST} sides to a comparison, not {len(items)}."
        raise ParameterError(msg, f"Of more, a sweep makes a table: lw.sweep. {_EXAMPLE}" if items else _EXAMPLE)
    made = [_side(each, model=model, worker=worker, options=options) for each in items]
    given_ones = [id(side.begin()) for side in made if side.given]
    if len(set(given_ones)) < len(given_ones):
        msg = "The same conversation is given twice."
        raise ParameterError(msg, "Give each side one of its own.")
    names = _distinct([side.name or name for side, name in zip(made, _names(made), strict=True)])
    return [Side(**{**vars(side), "name": name}) for side, name in zip(made, names, strict=True)]


def read_seed(seed: object) -> int:
    """Return what shuffles the places of blind rounds, by default something new."""
    if seed is None:
        return random.SystemRandom().getrandbits(32)
    if isinstance(seed, bool) or not isinstance(seed, int):
        msg = f"The seed of a comparison must be a whole number, not {seed!r:.80}."
        raise ParameterError(msg, "It shuffles the places of blind rounds.")
    return seed


def _named(name: object, given: object) -> object:
    if isinstance(given, Mapping):
        return {"name": name, **given}
    return _Named(name, given)


@dataclass(frozen=True)
class _Named:
    name: object
    given: object


def _side(given: object, *, model: object, worker: Worker | None, options: Mapping[str, Any]) -> Side:
    name: object = ""
    if isinstance(given, _Named):
        name, given = given.name, given.given
    if isinstance(given, Asking):
        chat = cast("Chat", given)  # a panel does all of that too
        name = name or getattr(given, "name", "")
        return Side(name=_text(name), model=chat.model, settings=_told(chat), begin=lambda: chat, given=True)
    own = dict(options)
    if isinstance(given, Mapping):
        if unknown := [key for key in given if key not in _KEYS]:
            msg = f"{unknown[0]!r} is not a setting of a side."
            raise ParameterError(msg, known(str(unknown[0]), _KEYS))
        own |= given
        name = own.pop("name", name)
        given = own.pop("model", None)
    named = model_text(given if given is not None else model)

    def begin() -> Chat:
        return Chat(named, worker=worker, **own)

    return Side(name=_text(name), model=named, settings=_told(begin()), begin=begin)


def _text(name: object) -> str:
    if not isinstance(name, str):
        msg = f"The name of a side must be text, not {type(name).__name__}."
        raise ParameterError(msg, 'For example {"name": "cold", "temperature": 0}.')
    return without_lone_surrogates(name.strip()[:_LONGEST])


def _told(chat: Chat) -> dict[str, Any]:
    """Return what a conversation is asked with, as far as it is not the default."""
    default = Chat().preset()
    return {name: value for name, value in chat.preset().items() if value != default[name]}


def _names(sides: list[Side]) -> list[str]:
    """Return what each side is called that was given no name: what it has and the others have not."""
    several = len({side.model for side in sides}) > 1
    keys = dict.fromkeys(key for side in sides for key in side.settings)
    varied = [key for key in keys if any(side.settings.get(key) != sides[0].settings.get(key) for side in sides)]
    default = Chat().preset()
    names = []
    for side in sides:
        parts = [model_name(side.model)] if several or not varied else []
        values = {key: side.settings.get(key, default[key]) for key in varied}
        parts += [f"{key.replace('_', ' ')} {_shown(value)}" for key, value in values.items() if value is not None]
        names.append(_short(", ".join(parts), _LONGEST) or "default settings")
    return names


def _shown(value: object) -> str:
    return _short(f"{value:g}" if isinstance(value, float) else str(value), 24)


def model_name(model: str) -> str:
    """Return a model's name as people say it."""
    file = model.replace("\\", "/").rsplit("/", 1)[-1]
    return " · ".join(filter(None, describe(file))) if file.lower().endswith(".gguf") else model


def _short(text: str, longest: int) -> str:
    line = " ".join(text.split())
    return line if len(line) <= longest else f"{line[: longest - 1]}…"


def _distinct(names: list[str]) -> list[str]:
    return [
        f"{name} ({names[:at].count(name) + 1})" if names.count(name) > 1 else name for at, name in enumerate(names)
    ]
