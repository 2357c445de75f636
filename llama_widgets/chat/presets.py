"""Named settings: which are there, and where they are kept. Each is a JSON file that a person can read and pass on."""

from __future__ import annotations

import json
import logging
import os
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from ..errors import ParameterError, PresetError
from ..options import GenerationOptions
from ..wire import known
from .settings import Settings
from .turns import plain_copy, without_lone_surrogates

if TYPE_CHECKING:
    from .conversation import Chat

logger = logging.getLogger(__name__)

_SUFFIX = ".json"
_LARGEST = 1_000_000  # bytes; a grammar of that size takes longer to compile than anybody waits
_LONGEST_NAME = 60
_FORBIDDEN = '/\\:*?"<>|'  # in the name of a file, somewhere

_GENERATION = tuple(f.name for f in fields(GenerationOptions))
_DRAWING = _GENERATION[_GENERATION.index("temperature") : _GENERATION.index("logit_bias")]
NAMES = ("system", "thinking", *_GENERATION)
"""What a preset may set: the system prompt and the options of ``Chat`` that are no Python objects."""


class Presets:
    """What a conversation, with or without a widget, does with named settings."""

    def configure(self, **options: Any) -> None:  # noqa: ANN401
        """Change what all questions from now on are asked with."""
        raise NotImplementedError

    def preset(self) -> dict[str, Any]:
        """Return what ``save_preset`` would save."""
        raise NotImplementedError

    @property
    def presets(self) -> dict[str, dict[str, Any]]:
        """The presets that are there; see ``lw.presets``."""
        return presets()

    def apply_preset(self, preset: object) -> None:
        """Set what a preset sets, and nothing else.

        Parameters
        ----------
        preset : str or path or dict
            The name of one of ``lw.presets()``, a file that ``save_preset`` has written, or settings such as
            ``{"system": "You are terse.", "temperature": 0.2}``.

        Raises
        ------
        PresetError
            If there is none of this name, or the file is not a preset.
        ParameterError
            If a dict holds what a preset cannot set.
        """
        self.configure(**read(preset))

    def save_preset(self, name: str) -> Path:
        """Keep the settings as they are now under a name, in place of what had that name; return the file.

        Raises
        ------
        PresetError
            If the name is not one that a file can have, is that of a built-in preset, or the file cannot be written.
        """
        return save(name, self.preset())

    def delete_preset(self, name: str) -> None:
        """Delete a preset that was saved; raises ``PresetError`` if there is none, or it is built in."""
        delete(name)


def presets() -> dict[str, dict[str, Any]]:
    """Return the presets by name: those that are built in, and those that were saved.

    The built-in ones set all that decides how a token is drawn, and leave the rest as it is. Those that were saved set
    the system prompt, thinking and all fields of ``GenerationOptions``. A file that is none is left out and logged.

    Returns
    -------
    dict of str to dict
        What each of them sets.
    """
    found = built_in()
    for path in sorted(_folder().glob(f"*{_SUFFIX}"), key=lambda path: path.name.casefold()):
        try:
            found.setdefault(path.stem, _from_file(path))
        except PresetError as error:
            logger.warning("%s", error)
    return found


def built_in() -> dict[str, dict[str, Any]]:
    """Return the presets that are always there.

    Balanced are llama.cpp's defaults. A high temperature wants a floor relative to the likeliest token in place of
    ``top_p``, which lets too much through when the distribution is flat. Source: arXiv 2407.01082.
    """
    changes: dict[str, dict[str, Any]] = {
        "Precise": {"temperature": 0.2},
        "Balanced": {},
        "Creative": {"temperature": 1.2, "top_p": 1.0, "min_p": 0.1},
    }
    defaults = _copy(GenerationOptions(), _DRAWING)
    return {name: {**defaults, **change} for name, change in changes.items()}


def settings_of(chat: Chat) -> dict[str, Any]:
    """Return the present settings of a conversation as a preset."""
    values = {"system": chat.system, "thinking": chat.settings.thinking, **_copy(chat.options, _GENERATION)}
    plain: dict[str, Any] = plain_copy(values)
    return plain


def read(preset: object) -> dict[str, Any]:
    """Return what a preset sets, given its name, its file, or the settings themselves; see ``apply_preset``."""
    if isinstance(preset, Mapping):
        return _checked(preset)
    if isinstance(preset, os.PathLike) or (isinstance(preset, str) and _is_path(preset)):
        return _from_file(Path(preset).expanduser())
    if not isinstance(preset, str):
        msg = f"A preset is a name, a file or a dict, not {type(preset).__name__}."
        raise PresetError(msg, "For example apply_preset('Precise').")
    if preset in (always := built_in()):
        return always[preset]
    path = _path(preset)
    if not path.is_file():
        _missing(preset)
    return _from_file(path)


def parse(text: str, where: str) -> dict[str, Any]:
    """Return what the text of a preset's file sets; ``where`` it is from is for the error.

    Raises
    ------
    PresetError
        If it is not a preset.
    """
    if len(text) > _LARGEST:
        msg = f"{where} is not a preset: it is larger than {_LARGEST:,} bytes."
        raise PresetError(msg, "Take a file that was saved or exported as a preset.")
    try:
        values = json.loads(text, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        msg = f"{where} is not a preset: it is not JSON ({error})."
        raise PresetError(msg, "Take a file that was saved or exported as a preset.") from error
    if not isinstance(values, dict):
        msg = f"{where} is not a preset: it holds no settings."
        raise PresetError(msg, 'A preset is an object such as {"temperature": 0.2}.')
    try:
        return _checked(values)
    except ParameterError as error:
        raise PresetError(f"{where} is not a preset: {error.message}", error.hint) from error


def to_text(values: Mapping[str, Any]) -> str:
    """Return the text of a preset's file."""
    return json.dumps(values, indent=2, ensure_ascii=False) + "\n"


def save(name: object, values: Mapping[str, Any]) -> Path:
    """Write a preset's file, whole or not at all, and return it; see ``save_preset``."""
    path = _path(name)
    if path.stem.casefold() in (each.casefold() for each in built_in()):
        msg = f"The preset {path.stem!r} is built in."
        raise PresetError(msg, "Choose another name.")
    text = to_text(_checked(values))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Beside it, under a name of its own: two kernels may save at the same time.
        handle, unfinished = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".unfinished")
        try:
            with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
                file.write(text)
            Path(unfinished).replace(path)
        except BaseException:
            with suppress(OSError):
                Path(unfinished).unlink()
            raise
    except OSError as error:
        msg = f"The preset {path.stem!r} cannot be saved: {error.strerror or error}."
        raise PresetError(msg, f"See that {path.parent} can be written to.") from error
    return path


def add(name: str, values: Mapping[str, Any]) -> Path:
    """Save a preset that comes from elsewhere, under its name, or the next that is free; return its file."""
    there = presets()
    taken = {each.casefold() for each in there}
    names = [name, *(f"{name} {number}" for number in range(2, len(there) + 3))]
    free = next(each for each in names if there.get(each) == values or each.casefold() not in taken)
    return save(free, values)


def delete(name: object) -> None:
    """Delete a preset that was saved; see ``delete_preset``."""
    path = _path(name)
    if name in built_in():
        msg = f"The preset {name!r} is built in and cannot be deleted."
        raise PresetError(msg)
    try:
        path.unlink()
    except FileNotFoundError:
        _missing(path.stem)
    except OSError as error:
        msg = f"The preset {path.stem!r} cannot be deleted: {error.strerror or error}."
        raise PresetError(msg, f"Its file is {path}.") from error


def _folder() -> Path:
    return Path(os.environ.get("XDG_CONFIG_HOME") or "~/.config").expanduser() / "llama-widgets" / "presets"


def _is_path(text: str) -> bool:
    return text.endswith(_SUFFIX) or "/" in text or os.sep in text


def _path(name: object) -> Path:
    if not isinstance(name, str):
        msg = f"The name of a preset must be text, not {type(name).__name__}."
        raise PresetError(msg, "For example 'terse'.")
    named = name.strip()
    good = named.isprintable() and not set(named) & set(_FORBIDDEN) and not named.startswith(".")
    if not good or not 0 < len(named) <= _LONGEST_NAME or named.endswith((".", _SUFFIX)):
        msg = f"A preset cannot have the name {name!r:.80}."
        raise PresetError(msg, f"Take up to {_LONGEST_NAME} letters, digits and spaces: its file has the same name.")
    return _folder() / f"{named}{_SUFFIX}"


def _missing(name: str) -> NoReturn:
    msg = f"There is no preset {name!r}."
    raise PresetError(msg, known(name, presets()))


def _from_file(path: Path) -> dict[str, Any]:
    where = path.name
    try:
        if not path.is_file():  # a pipe would be waited for
            msg = f"There is no file {where}." if not path.exists() else f"{where} is not a file."
            raise PresetError(msg, "Name one that was saved or exported as a preset.")
        with path.open("rb") as file:
            data = file.read(_LARGEST + 1)
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        msg = f"{where} is not a preset: it is not UTF-8 text."
        raise PresetError(msg, "Take a file that was saved or exported as a preset.") from error
    except OSError as error:
        msg = f"{where} cannot be read: {error.strerror or error}."
        raise PresetError(msg) from error
    return parse(text, where)


def _checked(values: Mapping[Any, Any]) -> dict[str, Any]:
    """Return the settings as they can travel; raises ``ParameterError`` for the first that is none."""
    if unknown := [name for name in values if name not in NAMES]:
        named = ", ".join(f"{name!r:.60}" for name in unknown[:5])
        msg = f"A preset cannot set {named}{' ...' if len(unknown) > 5 else ''}."  # noqa: PLR2004 - enough to look for
        raise ParameterError(msg, known(str(unknown[0]), NAMES))
    try:
        plain = plain_copy(dict(values))
        settings = Settings().changed({name: value for name, value in plain.items() if name != "system"})
    except RecursionError:
        msg = "It is nested too deeply."
        raise ParameterError(msg) from None
    found = asdict(settings.options) | {"thinking": settings.thinking}
    if "system" in plain:
        found["system"] = system_text(plain["system"])
    return {name: found[name] for name in plain}


def system_text(system: object) -> str | None:
    """Return a system prompt as it can travel; raises ``ParameterError`` if it is not text."""
    if system is None:
        return None
    if not isinstance(system, str):
        msg = f"The system prompt must be text, not {type(system).__name__}."
        raise ParameterError(msg, "Give a string, or None for no system prompt.")
    return without_lone_surrogates(system)


def _copy(options: GenerationOptions, names: tuple[str, ...]) -> dict[str, Any]:
    values = asdict(options)
    return {name: values[name] for name in names}


def _no_number(constant: str) -> NoReturn:
    msg = f"{constant} is no number of JSON"
    raise ValueError(msg)
