"""The tokenisers and templates of models on this machine, without their weights."""

from __future__ import annotations

import functools
import threading
import weakref
from typing import TYPE_CHECKING

import llama_cpp  # noqa: TID253 - this module is imported late

from ..options import LoadOptions
from . import gguf, native
from .model import Model
from .parameters import model_params

if TYPE_CHECKING:
    from pathlib import Path

_KEPT = 4
"""A vocabulary takes 20 to 120 MB, and 0.1 to 1.5 s to read."""

_lock = threading.Lock()


def vocabulary(path: Path, chat_template: str | None = None) -> Model:
    """Return a model that can only tokenise and render, from any thread; a few are kept.

    It is one of its own also where the model is in memory: llama.cpp's weights belong to the worker's thread, and who
    asks for tokens must not wait for the answers that it makes.

    Parameters
    ----------
    path : Path
        The GGUF file, which may have no weights.
    chat_template : str, optional
        As in ``LoadOptions``.

    Raises
    ------
    ModelError
        If it cannot be read.
    ParameterError
        If the template does not work.
    """
    native.start()
    gguf.check(path, weights=False)
    with _lock:
        return _read(path, path.stat().st_mtime_ns, chat_template)


@functools.lru_cache(maxsize=_KEPT)
def _read(path: Path, _changed: int, chat_template: str | None) -> Model:
    params = model_params(LoadOptions(), 0)
    params.vocab_only = True
    model = Model(path, params, lambda _: None, chat_template)
    # Not `close`: somebody may still use one that is kept no longer.
    weakref.finalize(model, llama_cpp.llama_model_free, model.handle).atexit = False
    return model
