"""What all conversations of this process begin with, and what of that stays as it is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, fields, replace
from typing import Any

from ..errors import LlamaWidgetsError, LockedError, ParameterError
from ..library.references import model_text
from ..options import LoadOptions
from ..wire import build, known
from . import configuration
from .archive import shareable
from .presets import system_text
from .settings import NAMES, Settings

SET = "Set for this class; it cannot be changed."
"""What stands beside what is locked."""

_LOAD = tuple(f.name for f in fields(LoadOptions))
_ALL = ("model", "system", *(name for name in NAMES if name != "response_prefix"), *_LOAD)


@dataclass(frozen=True, kw_only=True, repr=False)
class Classroom:
    """What conversations begin with, and what of that is locked. ``print`` shows it in a line.

    Attributes
    ----------
    model : str
        The model that answers where none is named; "" if there is none.
    system : str or None
        The system prompt.
    settings : Settings
        What questions are asked with.
    load : LoadOptions or None
        What the model is loaded with.
    locked : dict of str to str
        The names of what cannot be changed, each with where that was said.
    """

    model: str = ""
    system: str | None = None
    settings: Settings = field(default_factory=Settings)
    load: LoadOptions | None = None
    locked: Mapping[str, str] = field(default_factory=dict)
    given: tuple[str, ...] = field(default=(), compare=False)

    def value(self, name: str) -> Any:  # noqa: ANN401 - a setting of any type
        """Return the default of a setting."""
        if name in ("model", "system"):
            return getattr(self, name)
        return getattr(self.load or LoadOptions(), name) if name in _LOAD else self.settings.value(name)

    def changed(self, changes: Mapping[str, Any], lock: object = (), *, where: str) -> Classroom:
        """Return it with other defaults and more locks; raises ``ParameterError`` for what cannot be."""
        if unknown := [name for name in changes if name not in _ALL]:
            msg = f"{unknown[0]!r} is not a setting of a conversation."
            raise ParameterError(msg, known(unknown[0], _ALL))
        model = self.check_model(changes["model"]) if "model" in changes else self.model
        system = system_text(changes.get("system", self.system))
        self.keep("system", system)
        load = self.load
        if given := {name: changes[name] for name in changes if name in _LOAD}:
            build(LoadOptions, given, where="the load options", error=ParameterError)
            load = self.check_load(replace(load or LoadOptions(), **given))
        settings = self.settings.changed({name: value for name, value in changes.items() if name in NAMES})
        locked = {**dict.fromkeys(_names(lock, changes), where), **self.locked}
        return Classroom(
            model=model,
            system=system,
            settings=replace(settings, locked={name: by for name, by in locked.items() if name in NAMES}),
            load=load,
            locked=locked,
            given=tuple(dict.fromkeys((*self.given, *changes, *locked))),
        )

    def keep(self, name: str, value: object) -> None:
        """Raise ``LockedError`` if a setting is locked at another value."""
        if name in self.locked and value != self.value(name):
            raise LockedError.of(name, self.locked[name])

    def check_model(self, model: object) -> str:
        """Return how a model is named, or raise ``LockedError`` if it is another than the one that is locked."""
        name = model_text(model)
        if "model" in self.locked and name != self.model and not _same(name, self.model):
            raise LockedError.of("model", self.locked["model"])
        return name

    def asked(self, model: object) -> str | None:
        """Return who is asked where no conversation says it: who is named, that of the class, or ``None`` for any."""
        return self.check_model(self.model if model is None else model) or None

    def check_load(self, load: LoadOptions | None) -> LoadOptions | None:
        """Return what a model is loaded with, or raise ``LockedError`` if some of it is locked at something else."""
        for name in _LOAD:
            self.keep(name, getattr(load or LoadOptions(), name))
        return load

    def free(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return those of the settings that are not locked."""
        return {name: value for name, value in options.items() if name not in self.locked}

    def __str__(self) -> str:
        """Return what is set, in a line."""
        values = {name: shareable(self.model) if name == "model" else self.value(name) for name in self.given}
        shown = (f"{name} {_shown(value)}{' (locked)' * (name in self.locked)}" for name, value in values.items())
        return ", ".join(shown) or "nothing is set"

    def __repr__(self) -> str:
        """Return the line."""
        return f"<Classroom: {self}>"


_own: Classroom | None = None
_configured: Classroom | None = None


def classroom(*, lock: Iterable[str] | bool = (), **settings: Any) -> Classroom:  # noqa: ANN401 - checked by Classroom
    """Set what all conversations begin with from now on, and lock some of it, so that a class starts the same.

    It holds for every ``Chat``, ``ChatPanel``, chat cell, sweep and comparison that begins afterwards. Whoever begins
    one may choose otherwise, except for what is locked. ``complete``, ``predict``, ``judge``, ``embed`` and a
    ``TokenView`` ask its model too, and ``tokenize`` and ``render`` use its vocabulary; to look at that of another
    model is never locked, as nothing is loaded. The same can stand in a configuration file, see the README; what is
    locked there stays so.

    Parameters
    ----------
    lock : iterable of str or bool
        Names of settings that stay as they are, also of those that are not given here. True locks all that are given.
    **settings
        ``model``, ``system``, the options of ``Chat`` (temperature, max_tokens, thinking, tools, ...) and those that a
        model is loaded with (n_ctx, ...). They take the place of what an earlier call has set; with none, only what
        configuration files say is left.

    Returns
    -------
    Classroom
        What conversations begin with now.

    Raises
    ------
    ParameterError
        If a setting is unknown, of the wrong type or out of range.
    LockedError
        If a configuration file has locked it at something else.

    Examples
    --------
    >>> lw.classroom(max_tokens=200, system="You are a patient tutor.", lock=["max_tokens"])  # doctest: +SKIP
    <Classroom: max_tokens 200 (locked), system 'You are a patient tutor.'>
    """
    global _own  # noqa: PLW0603 - one for this process
    _own = configured().changed(settings, lock, where="lw.classroom()")
    return _own


def current() -> Classroom:
    """Return what conversations begin with."""
    return _own or configured()


def configured() -> Classroom:
    """Return what the configuration files say.

    Raises
    ------
    ParameterError
        If one of them cannot be understood: what it locks would not be.
    """
    global _configured  # noqa: PLW0603 - read once
    if _configured is None:
        made = Classroom()
        for where, section in configuration.sections():
            try:
                made = made.changed(
                    {name: value for name, value in section.items() if name != "lock"},
                    section.get("lock", ()),
                    where=where,
                )
            except ParameterError as error:
                raise type(error)(f"{where}: {error.message}", error.hint) from error
        _configured = made
    return _configured


def _names(lock: object, given: Mapping[str, Any]) -> list[str]:
    """Return what is to be locked."""
    if isinstance(lock, bool):
        return list(given) if lock else []
    if isinstance(lock, str) or not isinstance(lock, Iterable):
        msg = f"'lock' must be a list of settings, not {lock!r:.80}."
        raise ParameterError(msg, "For example lock=['model', 'max_tokens'], or lock=True for all that are given.")
    names = list(lock)
    for name in names:
        if name not in _ALL:
            msg = f"{name!r} is not a setting that can be locked."
            raise ParameterError(msg, known(str(name), _ALL))
    return names


def _shown(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else f"{value!r:.60}"


def _same(one: str, other: str) -> bool:
    """Return whether two names mean the same file."""
    from ..library import local

    with suppress(LlamaWidgetsError):
        return bool(one) and local.find(one) == local.find(other)
    return False
