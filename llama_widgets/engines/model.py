"""A model in memory: its weights, what its metadata say, and its vocabulary."""

from __future__ import annotations

import ctypes
import os
import re
from typing import TYPE_CHECKING

import llama_cpp  # noqa: TID253 - this module is imported late

from ..errors import ContextOverflowError, InvalidModelError, ModelError, ParameterError
from . import native
from .templates.template import ChatTemplate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

_SLICE = 16_384


class Model:
    """The weights and the vocabulary of one GGUF file.

    Parameters
    ----------
    path : Path
        The file; of a split model, its first part.
    params : llama_model_params
        How the weights are loaded.
    on_progress : callable
        Called with the part that is loaded, 0 to 1. What it raises aborts the load and comes out of the constructor.
    chat_template : str, optional
        A Jinja template, or the name of one of the model's variants, instead of the model's own.

    Attributes
    ----------
    pieces : dict
        The bytes of each token, by its number; None for those that end the answer.
    size : int
        Bytes of the weights.
    unlocked : bool
        Whether the system refused to keep the weights from being swapped out, as was asked.

    Raises
    ------
    ModelError
        If llama.cpp cannot load the file, with its own reason.
    """

    def __init__(
        self,
        path: Path,
        params: llama_cpp.llama_model_params,
        on_progress: Callable[[float], None],
        chat_template: str | None = None,
    ) -> None:
        self.path = path
        raised: list[BaseException] = []

        def progress(done: float, _: object) -> bool:
            try:
                on_progress(done)
            except BaseException as error:  # noqa: BLE001 - ctypes would print it and go on
                raised.append(error)
            return not raised

        params.progress_callback = llama_cpp.llama_progress_callback(progress)
        with native.log.capture() as lines:
            handle = llama_cpp.llama_model_load_from_file(os.fsencode(path), params)
        self._handle: llama_cpp.llama_model_p | None = handle
        self.unlocked = any("failed to mlock" in line for _, line in lines)
        if raised:
            self.close()
            raise raised[0]
        if handle is None:
            raise load_error(path, native.reason(lines))
        vocab = llama_cpp.llama_model_get_vocab(handle)
        assert vocab is not None  # noqa: S101 - every model has one
        self._vocab = vocab
        self.pieces = _Pieces(vocab)
        self._bos = llama_cpp.llama_vocab_bos(vocab)
        self._bos_text = self._token_text(self._bos)
        self.n_vocab = llama_cpp.llama_vocab_n_tokens(vocab)
        self.n_ctx_train = llama_cpp.llama_model_n_ctx_train(handle)
        self.size = int(llama_cpp.llama_model_size(handle))  # read now: any thread may ask, also while it is freed
        try:
            self.template = ChatTemplate(
                self._template_text(None),
                self._bos_text,
                self._token_text(llama_cpp.llama_vocab_eos(vocab)),
                variants={name: self._template_text(name) or "" for name in self._template_names()},
                given=chat_template,
            )
        except BaseException:
            self.close()
            raise
        self._reveal(self.template.tags.texts())

    @property
    def handle(self) -> llama_cpp.llama_model_p:
        """llama.cpp's pointer."""
        if self._handle is None:
            msg = "the model is closed"
            raise RuntimeError(msg)
        return self._handle

    def close(self) -> None:
        """Free the weights."""
        if self._handle is not None:
            llama_cpp.llama_model_free(self._handle)
            self._handle = None

    # Metadata

    def metadata(self, key: str) -> str:
        """Return a value of the GGUF header as text; empty where there is none."""
        buffer = ctypes.create_string_buffer(1024)
        size = llama_cpp.llama_model_meta_val_str(self.handle, key.encode(), buffer, len(buffer))
        return buffer.value.decode("utf-8", "replace") if size > 0 else ""

    @property
    def quantisation(self) -> str:
        """Name of the quantisation as file names have it, for example Q4_K_M."""
        name = llama_cpp.llama_ftype_name(llama_cpp.llama_model_ftype(self.handle)) or b""
        text = name.decode().removeprefix("(guessed) ").removeprefix("all ")
        text = re.sub(r" - (Small|Medium|Large)$", lambda match: f"_{match[1][0]}", text)
        return text.split(" - ", maxsplit=1)[0].split(",", maxsplit=1)[0]

    @property
    def n_params(self) -> int:
        """Number of weights."""
        return int(llama_cpp.llama_model_n_params(self.handle))

    @property
    def keeps_state(self) -> bool:
        """Whether its memory is, at least in part, a running state that cannot be cut back."""
        recurrent = llama_cpp.llama_model_is_recurrent(self.handle) or llama_cpp.llama_model_is_hybrid(self.handle)
        return bool(recurrent)

    @property
    def why_not_a_chat_model(self) -> str:
        """Why it cannot continue a text; empty if it can."""
        if llama_cpp.llama_model_has_encoder(self.handle):
            return "it is an encoder or encoder-decoder model"
        if not llama_cpp.llama_model_has_decoder(self.handle):
            return "it has no decoder"
        if llama_cpp.llama_model_is_diffusion(self.handle):
            return "it is a diffusion model"
        return ""

    def _template_text(self, variant: str | None) -> str | None:
        text = llama_cpp.llama_model_chat_template(self.handle, variant.encode() if variant else None)
        return text.decode("utf-8", "replace") if text else None

    def _template_names(self) -> list[str]:
        """Return the names of the template's variants: the ends of keys such as tokenizer.chat_template.tool_use."""
        buffer = ctypes.create_string_buffer(256)
        names = []
        for index in range(llama_cpp.llama_model_meta_count(self.handle)):
            llama_cpp.llama_model_meta_key_by_index(self.handle, index, buffer, len(buffer))
            key, _, name = buffer.value.decode("utf-8", "replace").partition(".chat_template.")
            if key == "tokenizer" and name:
                names.append(name)
        return names

    # Vocabulary

    def tokenise(self, text: str, limit: int) -> list[int]:
        """Return the tokens of a prompt, with the token that begins a text in front where the model wants one.

        Raises
        ------
        ContextOverflowError
            If there are ``limit`` tokens or more.
        """
        self._refuse_long(text, limit)
        tokens = self._tokens(text)
        # A template that writes the token itself must not get a second one.
        if llama_cpp.llama_vocab_get_add_bos(self._vocab) and tokens[:1] != [self._bos]:
            tokens.insert(0, self._bos)
        if len(tokens) >= limit:
            raise _too_long(f"{len(tokens):,}", limit)
        return tokens

    def count(self, text: str) -> int:
        """Return how many tokens ``text`` has; of a long one a few too many, since it is counted in slices."""
        return sum(len(self._tokens(text[start : start + _SLICE])) for start in range(0, len(text), _SLICE))

    def tokens(self, text: str) -> list[int]:
        """Return the tokens of a text that stands within others."""
        return self._tokens(text)

    def infill(self, prefix: str, suffix: str, limit: int) -> list[int]:
        """Return the tokens that ask for what stands between ``prefix`` and ``suffix``.

        Raises
        ------
        ParameterError
            If the model has no tokens for that.
        ContextOverflowError
            If there are ``limit`` tokens or more.
        """
        marks = self.infill_marks
        if marks is None:
            msg = "The model cannot fill in the middle: it has no tokens that say where prefix and suffix begin."
            raise ParameterError(msg, "Leave out the suffix, or choose a model for code.")
        self._refuse_long(prefix + suffix, limit)
        before, after, middle = marks
        tokens = [before, *self._tokens(prefix), after, *self._tokens(suffix), middle]
        if llama_cpp.llama_vocab_get_add_bos(self._vocab):
            tokens.insert(0, self._bos)
        if len(tokens) >= limit:
            raise _too_long(f"{len(tokens):,}", limit)
        return tokens

    @property
    def infill_marks(self) -> tuple[int, int, int] | None:
        """The tokens before a prefix, a suffix and what is between them; None if the model has none."""
        marks = (
            llama_cpp.llama_vocab_fim_pre(self._vocab),
            llama_cpp.llama_vocab_fim_suf(self._vocab),
            llama_cpp.llama_vocab_fim_mid(self._vocab),
        )
        return None if min(marks) < 0 else marks

    def _reveal(self, texts: Iterable[str]) -> None:
        """Let tokens such as those around a thought be text in an answer: llama.cpp leaves out control tokens."""
        for token in {token for text in texts for token in self._tokens(text)}:
            if llama_cpp.llama_vocab_is_control(self._vocab, token) and self.pieces[token] is not None:
                self.pieces[token] = self._token_text(token).encode()

    def _refuse_long(self, text: str, limit: int) -> None:
        """Refuse a text that is longer than ``limit`` by far without going through all of it.

        A slice more costs one token more at most, which the bound allows for.
        """
        if len(text) <= _SLICE + 4 * limit:
            return
        count = 0
        for number, start in enumerate(range(0, len(text), _SLICE), 1):
            count += len(self._tokens(text[start : start + _SLICE]))
            if count - number >= limit:
                estimate = count * len(text) // min(number * _SLICE, len(text))
                raise _too_long(f"about {estimate:,}", limit)

    def _tokens(self, text: str) -> list[int]:
        data = _utf8(text)
        size = len(data) + 8
        buffer = (llama_cpp.llama_token * size)()
        # The length is given, so a NUL character is one like any other.
        count = llama_cpp.llama_tokenize(self._vocab, data, len(data), buffer, size, False, True)
        return buffer[:count]

    def data(self, token: int) -> bytes:
        """Return the bytes of ``token`` as a text for a model has them: with those of the tokens that steer it."""
        return _piece(self._vocab, token, special=True)

    def shown(self, token: int) -> str:
        """Return what ``token`` is shown as by itself."""
        # Tokens that end an answer have no piece, and control tokens an empty one.
        return (self.pieces[token] or self._token_text(token).encode()).decode("utf-8", "replace")

    def is_special(self, token: int) -> bool:
        """Return whether ``token`` steers the model and is no part of what is said."""
        vocab = self._vocab
        return bool(llama_cpp.llama_vocab_is_control(vocab, token) or llama_cpp.llama_vocab_is_eog(vocab, token))

    def check(self, tokens: Iterable[int]) -> None:
        """Refuse numbers that are no tokens, with which llama.cpp would end the process.

        Raises
        ------
        ParameterError
            If there are any.
        """
        if wrong := [token for token in tokens if not 0 <= token < self.n_vocab]:
            msg = f"There is no token {wrong[0]}: this model has {self.n_vocab:,}, counted from 0."
            raise ParameterError(msg, "Tokens are of one model; another one has others.")

    def _token_text(self, token: int) -> str:
        text = llama_cpp.llama_vocab_get_text(self._vocab, token) if token >= 0 else None
        return text.decode("utf-8", "replace") if text else ""


class _Pieces(dict[int, "bytes | None"]):
    """The bytes of each token, or None if it ends the answer; looked up when they are first asked for."""

    def __init__(self, vocab: llama_cpp.llama_vocab_p) -> None:
        super().__init__()
        self._vocab = vocab

    def __missing__(self, token: int) -> bytes | None:
        ends = llama_cpp.llama_vocab_is_eog(self._vocab, token)
        return self.setdefault(token, None if ends else _piece(self._vocab, token))


def _piece(vocab: llama_cpp.llama_vocab_p, token: int, *, special: bool = False) -> bytes:
    size = 32
    while True:
        buffer = ctypes.create_string_buffer(size)
        count = llama_cpp.llama_token_to_piece(vocab, token, buffer, size, 0, special)
        if count >= 0:
            return buffer.raw[:count]
        size = -count


def _utf8(text: str) -> bytes:
    """Return ``text`` as UTF-8: surrogates, as JavaScript may cut them, become a character if paired, else U+FFFD."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace").encode()


def load_error(path: Path, reason: str) -> ModelError:
    """Return the error that says why llama.cpp cannot load a file."""
    ends_early = ("not within the file bounds", "exceeds remaining file size", "failed to read", "failed to seek")
    if any(words in reason for words in ends_early):
        msg = f"{path.name} is cut short or damaged: {reason}."
        return InvalidModelError(msg, "Download it again, or choose another file.")
    msg = f"llama.cpp cannot load {path.name}: {reason}."
    if "alloc" in reason:
        return ModelError(msg, "Free memory, give fewer layers to the GPU, or choose a smaller model.")
    if "unknown model architecture" in reason:
        return InvalidModelError(msg, "Update llama-cpp-python, or choose another model.")
    return InvalidModelError(msg, "Choose another model.")


def _too_long(count: str, limit: int) -> ContextOverflowError:
    msg = f"The prompt has {count} tokens, and the context has room for {limit:,}."
    return ContextOverflowError(msg, "Shorten it, begin a new conversation, or load the model with a larger n_ctx.")
