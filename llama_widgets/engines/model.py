"""A model in memory: its weights, what its metadata say, and its vocabulary."""

from __future__ import annotations

import ctypes
import os
import re
from typing import TYPE_CHECKING

import llama_cpp  # noqa: TID253 - this module is imported late

from ..errors import InvalidModelError, ModelError, ContextOverflowError
from . import native
from .template import ChatTemplate

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_SLICE = 16_384


class Model:
    """The weights and the vocabulary of one GGUF file.

    Parameters
    ----------
    path : Path
        The file; of a split model, its first part.
    n_gpu_layers : int
        Layers given to the GPU; negative is all.
    on_progress : callable
        Called with the part that is loaded, 0 to 1. What it raises aborts the load and comes out of the constructor.

    Raises
    ------
    ModelError
        If llama.cpp cannot load the file, with its own reason.
    """

    def __init__(self, path: Path, n_gpu_layers: int, on_progress: Callable[[float], None]) -> None:
        raised: list[BaseException] = []

        def progress(done: float, _: object) -> bool:
            try:
                on_progress(done)
            except BaseException as error:  # noqa: BLE001 - ctypes would print it and go on
                raised.append(error)
            return not raised

        params = llama_cpp.llama_model_default_params()
        params.n_gpu_layers = n_gpu_layers
        params.progress_callback = llama_cpp.llama_progress_callback(progress)
        with native.log.capture() as lines:
            handle = llama_cpp.llama_model_load_from_file(os.fsencode(path), params)
        self._handle: llama_cpp.llama_model_p | None = handle
        if raised:
            self.close()
            raise raised[0]
        if handle is None:
            raise _load_error(path, native.reason(lines))
        vocab = llama_cpp.llama_model_get_vocab(handle)
        assert vocab is not None  # noqa: S101 - every model has one
        self._vocab = vocab
        self._pieces: dict[int, bytes | None] = {}
        self._bos = llama_cpp.llama_vocab_bos(vocab)
        self._bos_text = self._token_text(self._bos)
        self.n_vocab = llama_cpp.llama_vocab_n_tokens(vocab)
        self.n_ctx_train = llama_cpp.llama_model_n_ctx_train(handle)
        template = llama_cpp.llama_model_chat_template(handle, None)
        self.template = ChatTemplate(
            template.decode("utf-8", "replace") if template else None,
            self._bos_text,
            self._token_text(llama_cpp.llama_vocab_eos(vocab)),
        )

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
    def size(self) -> int:
        """Bytes of the weights."""
        return int(llama_cpp.llama_model_size(self.handle))

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

    def piece(self, token: int) -> bytes | None:
        """Return the bytes of ``token``, or None if it ends the answer."""
        try:
            return self._pieces[token]
        except KeyError:
            piece = None if llama_cpp.llama_vocab_is_eog(self._vocab, token) else self._piece(token)
            return self._pieces.setdefault(token, piece)

    def _piece(self, token: int) -> bytes:
        size = 32
        while True:
            buffer = ctypes.create_string_buffer(size)
            count = llama_cpp.llama_token_to_piece(self._vocab, token, buffer, size, 0, False)
            if count >= 0:
                return buffer.raw[:count]
            size = -count

    def _token_text(self, token: int) -> str:
        text = llama_cpp.llama_vocab_get_text(self._vocab, token) if token >= 0 else None
        return text.decode("utf-8", "replace") if text else ""


def _utf8(text: str) -> bytes:
    """Return ``text`` as UTF-8: surrogates, as JavaScript may cut them, become a character if paired, else U+FFFD."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace").encode()


def _load_error(path: Path, reason: str) -> ModelError:
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
