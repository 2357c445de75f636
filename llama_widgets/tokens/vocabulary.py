"""Texts as tokens and back, for any model on this machine; no weights are needed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, cast

from ..chat.classrooms import current
from ..errors import NoModelError, ParameterError
from ..library import local
from ..library.references import model_text
from ..worker import Worker, shared
from .rows import Rows

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..engines.model import Model


@dataclass(frozen=True, kw_only=True)
class Token:
    """One token of a text.

    Attributes
    ----------
    id : int
        Its number in the model's vocabulary.
    text : str
        The characters that end with it; joined, the texts of all tokens are the text. "" for the first tokens of a
        character that has several.
    special : bool
        Whether it steers the model and is no part of what is said, such as the one that ends a turn.
    start, end : int or None
        Where ``text`` is in the text, in characters; ``None`` where the tokeniser has changed that, as some do.
    bytes : bytes
        What it stands for, which may be a part of a character.
    """

    id: int
    text: str
    special: bool
    start: int | None
    end: int | None
    bytes: bytes


class Tokens(Rows[Token]):
    """The tokens of a text: a list of ``Token``."""

    columns: ClassVar[dict[str, type]] = {
        "id": int, "text": str, "special": bool, "start": int, "end": int, "bytes": bytes
    }  # fmt: skip

    @property
    def ids(self) -> list[int]:
        """Their numbers."""
        return [token.id for token in self]


def tokenize(text: str, model: object = None, *, worker: Worker | None = None) -> Tokens:
    """Return the tokens of a text; answers that are being made go on.

    Parameters
    ----------
    text : str
        As plain text: ``render`` shows what a chat template makes of messages. Texts such as "<|im_end|>" are the
        tokens that steer a model.
    model : str or path or Model, optional
        Any model on this machine, by default that of the classroom, or the one in memory. No weights are loaded.
    worker : Worker, optional
        By default the one that all conversations of this process share.

    Raises
    ------
    NoModelError
        If no model is named and none is in memory.
    ModelError
        If there is no such model, or it cannot be read.

    Examples
    --------
    >>> [token.text for token in lw.tokenize("Tokenisers split words.")]  # doctest: +SKIP
    ['Token', 'isers', ' split', ' words', '.']
    """
    if not isinstance(cast("object", text), str):
        msg = f"A text must be text, not {type(text).__name__}."
        raise ParameterError(msg, 'For example lw.tokenize("Tokenisers split words.").')
    known = vocabulary(model, worker)
    return located(known, known.tokens(text), text)


def detokenize(ids: Iterable[int], model: object = None, *, worker: Worker | None = None) -> Tokens:
    """Return the tokens that have these numbers, with their texts; takes and raises what ``tokenize`` does.

    Raises ``ParameterError`` for what is no token of the model.

    Examples
    --------
    >>> lw.detokenize([504, 6376]).to_dataframe()  # doctest: +SKIP
    """
    given = list(ids)
    if wrong := [each for each in cast("list[object]", given) if not isinstance(each, int) or isinstance(each, bool)]:
        msg = f"A token is a whole number, not {wrong[0]!r:.80}."
        raise ParameterError(msg, "For example lw.detokenize([504, 6376]).")
    known = vocabulary(model, worker)
    known.check(given)
    return located(known, given)


def located(model: Model, tokens: Iterable[int], text: str | None = None) -> Tokens:
    """Return tokens with their texts, and where these are in ``text``, or in all of theirs.

    Of what the tokeniser has added, that is nowhere: the token that begins a text, and spaces in front of words.
    """
    from ..engines.pieces import pieces

    made = pieces(model, tokens)
    whole = "".join(piece.text for piece in made) if text is None else text
    rows, at = Tokens(), 0
    for piece in made:
        there = next((each for each in (piece.text, piece.text.removeprefix(" ")) if whole.startswith(each, at)), None)
        if there is None and piece.special:
            there = ""
        known = there is not None and at >= 0
        start, at = at, at + len(there) if known and there is not None else -1
        rows.append(
            Token(
                id=piece.token,
                text=piece.text,
                special=piece.special,
                start=start if known else None,
                end=at if known else None,
                bytes=piece.data,
            )
        )
    return rows


def vocabulary(model: object, worker: Worker | None, chat_template: str | None = None) -> Model:
    """Return what tokenises and renders for ``model``: by default the class's, or the one in memory."""
    from ..engines.vocabulary import vocabulary as read

    asked, named = worker or shared(), model_text(current().model if model is None else model)
    if named and (chat_template is not None or not asked.is_loaded(named)):
        return read(local.find(named), chat_template)
    if (loaded := asked.loaded) is None:
        msg = "No model is loaded."
        raise NoModelError(msg, "Load one first, or name one: lw.tokenize(text, lw.models()[0]).")
    options = asked.load_options
    return read(Path(loaded.path), options.chat_template if options else None)
