"""Conversations as plain data that can be kept and shared, and back.

The data is OpenAI's message format with what else there is to know beside it::

    {"format": "llama-widgets", "version": 1,
     "model": "...", "settings": {...},           what it was asked with
     "conversations": [{"id", "name"}, ...], "current": id,
     "messages": [{"role", "content", ...}, ...],  what is shown of the current one, the system prompt first
     "turns": [{"id", "conversation", "parent", ...}, ...]}

``turns`` are those of all branches and conversations, each after the one that it follows; of those that are among the
messages, only their place. It is left out where there are no others. What has none of this but messages, or is only a
list of them, is read as well.
"""

from __future__ import annotations

import json
import os
import re
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ConversationError, LlamaWidgetsError
from ..library.references import parse
from .book import Book, Conversation
from .provenance import Provenance
from .settings import NAMES, Settings
from .tree import ROOT, Tree
from .turns import plain_copy, read_turns, without_lone_surrogates

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from .turns import Turn

FORMAT = "llama-widgets"
VERSION = 1
LARGEST = 256 * 2**20
"""Bytes of a file that is read: fifty times the longest conversations that people have."""
_DEEPEST = 100
_ID = re.compile(r"[\w-]{1,64}")
_JSON = re.compile(r"[\ufeff\s]*[{[]")
_PLACE = ("id", "conversation", "parent", "shown")
_OWN = {"tools", "confirm", "response_prefix"}
"""Settings that are no data, or of a single answer."""
_HINT = "Give what to_json() made, or a list of messages such as [{'role': 'user', 'content': 'Hello'}]."


@dataclass(kw_only=True)
class Saved:
    """Conversations that were kept, and what they were asked with."""

    book: Book
    model: str = ""
    system: str | None = None
    settings: dict[str, Any] = field(default_factory=dict)


def write(
    book: Book,
    *,
    model: str = "",
    system: str | None = None,
    settings: Settings | None = None,
    growing: str = "",
    flat: bool = False,
) -> dict[str, Any]:
    """Return conversations as plain data.

    What is not yet whole, such as the turn with the id ``growing``, is kept as if it were stopped now. With ``flat``,
    all turns are in ``turns`` and none in ``messages``.
    """
    turns = [
        {**_kept(turn, growing, system), "conversation": each.id}
        for each in book.conversations
        for turn in each.tree.to_list()
    ]
    prompt = [{"role": "system", "content": system}] if system else []
    path = [turn.id for turn in book.current.tree.path]
    data: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "model": shareable(model),
        "settings": changed(settings or Settings()),
        "conversations": [{"id": each.id, "name": each.given_name} for each in book.conversations],
        "current": book.current.id,
        "messages": prompt,
    }
    if flat:
        return {**data, "turns": turns}
    by_id = {turn["id"]: turn for turn in turns}
    data["messages"] = [*prompt, *(_message(by_id[turn]) for turn in path)]
    if len(turns) > len(path):
        shown = set(path)
        data["turns"] = [_place(turn) if turn["id"] in shown else turn for turn in turns]
    return data


def read(source: object) -> Saved:
    """Return what was kept.

    Parameters
    ----------
    source : str, bytes, path, dict or list
        JSON, the path of a file with it, or what it holds.

    Raises
    ------
    ConversationError
        If it cannot be read, or is no conversation.
    """
    try:
        return _read(_plain(source))
    except RecursionError:
        raise _refusal("It is nested too deeply.") from None
    except ConversationError:
        raise
    except LlamaWidgetsError as error:
        raise _refusal(error.message) from error


def load(path: str | os.PathLike[str]) -> str:
    """Return the text of a file."""
    try:
        with Path(path).expanduser().open("rb") as file:
            data = file.read(LARGEST + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        msg = f"{Path(path).name!r:.200} cannot be read: {reason}."
        raise ConversationError(msg, "Check the path.") from error
    return _decoded(data)


def changed(settings: Settings) -> dict[str, Any]:
    """Return the settings that are not the default, as plain data; functions are none."""
    plain = {}
    for name in sorted(set(NAMES) - _OWN):
        value, default = (getattr(s.options if hasattr(s.options, name) else s, name) for s in (settings, Settings()))
        if value != default:
            plain[name] = plain_copy(value)
    return plain


def shareable(model: str) -> str:
    """Return what ``model`` is called elsewhere: of a path or an address the file, with nothing of this machine."""
    if not model:
        return ""
    with suppress(LlamaWidgetsError):
        reference = parse(model)
        if reference.url:
            return reference.file or ""
        if reference.path is None:
            return str(reference)
    return re.split(r"[\\/]", model)[-1]


def _plain(source: object) -> Any:  # noqa: ANN401 - whatever JSON holds
    """Return what ``source`` holds, if it is no deeper and no larger than it may be."""
    if isinstance(source, os.PathLike) or (isinstance(source, str) and not _JSON.match(source)):
        source = load(source)
    elif isinstance(source, (bytes, bytearray)):  # never a path
        source = _decoded(bytes(source))
    if isinstance(source, str):
        if len(source) > LARGEST:
            raise _refusal("It is too large.")
        try:
            source = json.loads(source.lstrip("\ufeff"))
        except ValueError as error:
            raise _refusal(f"It is not JSON: {str(error)[:200]}.") from error
    _forbid_depth(source)
    return source


def _decoded(data: bytes) -> str:
    if len(data) > LARGEST:
        raise _refusal("It is too large.")
    try:
        return data.decode("utf-8-sig")
    except ValueError as error:
        raise _refusal("It is not UTF-8 text.") from error


def _forbid_depth(data: Any) -> None:  # noqa: ANN401
    level = [data]
    for _ in range(_DEEPEST):
        if not level:
            return
        containers = [each for each in level if isinstance(each, (dict, list, tuple))]
        level = [item for each in containers for item in (each.values() if isinstance(each, dict) else each)]
    raise _refusal("It is nested too deeply.")


def _read(data: Any) -> Saved:  # noqa: ANN401
    if isinstance(data, (list, tuple)):
        data = {"messages": list(data)}
    if not isinstance(data, dict) or not isinstance(data.get("messages"), (list, tuple)):
        raise _refusal("It has no list of messages.")
    version = data.get("version", VERSION)
    if data.get("format") == FORMAT and version != VERSION:
        msg = f"It was made by a newer version of llama-widgets (format {version!r:.20})."
        raise _refusal(msg, "Update llama-widgets.")
    messages = [_readable(message) for message in data["messages"]]
    system = None
    if messages and messages[0].get("role") == "system" and "id" not in messages[0]:
        (prompt,) = read_turns(messages[:1])
        system, messages = prompt.content, messages[1:]
    conversations = _conversations(data)
    current = conversations.get(_text(data, "current")) or next(iter(conversations.values()))
    turns = _with_ids(messages, system)
    given = data.get("turns", [])
    if not isinstance(given, (list, tuple)):
        raise _refusal("Its turns are no list.")
    if given:
        _grow(conversations, current, [_readable(turn) for turn in given], turns, system)
    else:
        current.tree = Tree(turns)
    book = Book()
    book.conversations, book.current = list(conversations.values()), current
    return Saved(book=book, model=_text(data, "model"), system=system, settings=_settings(data.get("settings", {})))


def _conversations(data: Mapping[str, Any]) -> dict[str, Conversation]:
    given = data.get("conversations") or [{}]
    if not isinstance(given, (list, tuple)) or not all(isinstance(each, dict) for each in given):
        raise _refusal("Its conversations are no list of objects.")
    made = {}
    for each in given:
        conversation = Conversation(given_name=_text(each, "name"))
        if _ID.fullmatch(name := _text(each, "id")):
            conversation.id = name
        made[conversation.id] = conversation
    if len(made) < len(given):
        raise _refusal("Two of its conversations have one id.")
    return made


def _grow(
    conversations: Mapping[str, Conversation],
    current: Conversation,
    given: list[dict[str, Any]],
    shown: list[Turn],
    system: str | None,
) -> None:
    """Fill the trees of the conversations with turns, of which those that are shown are already read."""
    known = {turn.id: turn for turn in shown}
    whole = [turn for turn in given if turn.get("id") not in known]
    known |= {turn.id: turn for turn in _with_ids(whole, system, known)}
    places: dict[str, list[tuple[Turn, str, bool]]] = {name: [] for name in conversations}
    for turn in given:
        where = turn.get("conversation", current.id)
        if where not in places or turn.get("id") not in known:
            raise _refusal("One of its turns belongs to no conversation, or has no id.")
        parent = turn.get("parent", ROOT)
        if not isinstance(parent, str):
            raise _refusal("One of its turns follows none.")
        places[where].append((known.pop(turn["id"]), parent, turn.get("shown") is True))
    if known:
        raise _refusal("One of its messages has no place among its turns.")
    for name, turns in places.items():
        conversations[name].tree = Tree.of(turns)


def _with_ids(messages: list[dict[str, Any]], system: str | None, known: Iterable[str] = ()) -> list[Turn]:
    """Return the turns of messages, with the ids that they have where these can be kept."""
    turns = read_turns(messages)
    used = set(known)
    for turn, message in zip(turns, messages, strict=True):
        given = message.get("id")
        if isinstance(given, str) and _ID.fullmatch(given) and given not in used:
            turn.id = given
        if isinstance(made := message.get("made"), dict):
            turn.made = Provenance.read(plain_copy(made), system)
        used.add(turn.id)
    return turns


def _readable(message: object) -> dict[str, Any]:
    """Return a message as ``read_turns`` takes it, from the ways in which OpenAI's interface writes one."""
    if not isinstance(message, dict):
        raise _refusal("One of its messages is no object.")
    message = dict(message)
    if message.get("role") == "developer":
        message["role"] = "system"
    if isinstance(parts := message.get("content"), (list, tuple)):
        if not all(isinstance(part, dict) and isinstance(part.get("text"), str) for part in parts):
            raise _refusal("One of its messages has something else in it than text.")
        message["content"] = "\n".join(part["text"] for part in parts)
    return message


def _settings(settings: object) -> dict[str, Any]:
    """Return settings that can be used."""
    if not isinstance(settings, dict):
        raise _refusal("Its settings are no object.")
    plain: dict[str, Any] = plain_copy({name: value for name, value in settings.items() if name not in _OWN})
    Settings().changed(plain)
    return plain


def _text(data: Mapping[str, Any], name: str) -> str:
    value = data.get(name) or ""
    if not isinstance(value, str):
        msg = f"Its {name!r} is no text."
        raise _refusal(msg)
    return without_lone_surrogates(value)


def _kept(turn: Mapping[str, Any], growing: str, system: str | None) -> dict[str, Any]:
    stopped: dict[str, Any] = {"stop_reason": "abort"} if turn["id"] == growing and "stop_reason" not in turn else {}
    if turn.get("state") in ("waiting", "running"):
        stopped = {"state": "stopped"}
    if "made" in turn:
        made = {**turn["made"], "model": shareable(turn["made"]["model"])}
        if made["system"] == system:  # as almost always, and it may be long
            del made["system"]
        stopped["made"] = made
    return {"role": turn["role"], "content": turn["content"], **turn, **stopped}


def _message(turn: Mapping[str, Any]) -> dict[str, Any]:
    """Return a turn as OpenAI's interface has messages, with the rest beside it."""
    message = {key: value for key, value in turn.items() if key not in ("conversation", "parent", "shown")}
    if calls := turn.get("tool_calls"):
        message["tool_calls"] = [
            {
                "id": call["id"],
                "type": "function",
                "function": {"name": call["name"], "arguments": json.dumps(call["arguments"], ensure_ascii=False)},
            }
            for call in calls
        ]
    return message


def _place(turn: Mapping[str, Any]) -> dict[str, Any]:
    return {key: turn[key] for key in _PLACE if key in turn}


def _refusal(reason: str, hint: str = _HINT) -> ConversationError:
    return ConversationError(f"This is no conversation that can be read. {reason}", hint)
