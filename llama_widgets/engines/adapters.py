"""LoRA adapters: small matrices that are added to a model's own."""

from __future__ import annotations

import ctypes
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import llama_cpp  # noqa: TID253 - this module is imported late

from ..errors import AdapterError, ModelError
from . import gguf, header, native

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .model import Model

_CHOOSE = "Choose an adapter that was made for this model and converted to GGUF."
_MOST_SCALE = 1_000
_NUMBERS = {0, 1, 2, 8, 30}
"""enum ggml_type of F32, F16, Q4_0, Q8_0 and BF16; llama.cpp cannot multiply whole numbers, and does not check."""


class Adapters:
    """The adapters of a model, loaded and ready for its contexts.

    Parameters
    ----------
    model : Model
        What they are for. It must be closed after them.
    specs : sequence of str or dict
        A path each, or ``{"path": ..., "scale": 1.0}``. A scale of 0 leaves the model as it is.

    Raises
    ------
    AdapterError
        If one is missing, damaged, none, or for another model.
    """

    def __init__(self, model: Model, specs: Sequence[str | dict[str, Any]]) -> None:
        self._handles: list[Any] = []  # pointers, which the binding types as what they point to
        self._scales: list[float] = []
        wanted = [_spec(spec) for spec in specs]
        try:
            for path, scale in wanted:
                _check(path, model)
                self._handles.append(_load(model, path))
                self._scales.append(scale)
        except BaseException:
            self.close()
            raise

    def attach(self, context: llama_cpp.llama_context_p) -> None:
        """Let ``context`` use them from now on."""
        count = len(self._handles)
        if count == 0:
            return
        handles = (llama_cpp.llama_adapter_lora_p_ctypes * count)(*self._handles)
        scales = (ctypes.c_float * count)(*self._scales)
        if llama_cpp.llama_set_adapters_lora(context, handles, count, scales) != 0:
            msg = "llama.cpp cannot apply the adapters."
            raise AdapterError(msg, _CHOOSE)

    def close(self) -> None:
        """Free them; contexts that use them must have been freed."""
        while self._handles:
            llama_cpp.llama_adapter_lora_free(self._handles.pop())
        self._scales.clear()


def _spec(spec: str | dict[str, Any]) -> tuple[Path, float]:
    if isinstance(spec, str):
        spec = {"path": spec}
    path, scale = spec.get("path"), spec.get("scale", 1.0)
    if not isinstance(path, str) or not path or spec.keys() - {"path", "scale"}:
        msg = f"{spec!r} does not name an adapter."
        raise AdapterError(msg, 'Give a path, or {"path": ..., "scale": 1.0}.')
    if isinstance(scale, bool) or not isinstance(scale, (int, float)) or not abs(scale) <= _MOST_SCALE:
        msg = f"The scale of the adapter {path} must be a number of at most {_MOST_SCALE:,}, not {scale!r}."
        raise AdapterError(msg, "The default is 1.0; 0 leaves the model as it is.")
    return Path(os.path.expanduser(path)), float(scale)  # noqa: PTH111 - Path's own fails where there is no such user


def _load(model: Model, path: Path) -> Any:  # noqa: ANN401 - a pointer
    with native.log.capture() as lines:
        handle: llama_cpp.llama_adapter_lora_p | None = llama_cpp.llama_adapter_lora_init(
            model.handle, os.fsencode(path)
        )
    if not handle:  # a NULL pointer, not None
        msg = f"llama.cpp cannot use {path.name} as an adapter: {native.reason(lines)}."
        raise AdapterError(msg, _CHOOSE)
    return handle


# llama.cpp takes much of a file at its word and ends the process where that is wrong, so it is checked before.


def _check(path: Path, model: Model) -> None:
    """Refuse what is not an adapter for ``model``."""
    try:
        gguf.check(path)
        found = header.read(path)
    except ModelError as error:
        raise AdapterError(error.message, _CHOOSE) from error
    except OSError as error:
        msg = f"{path} cannot be read: {error.strerror}."
        raise AdapterError(msg, "Check the disk, or choose another file.") from error
    architecture = model.metadata("general.architecture")
    experts = model.metadata(f"{architecture}.expert_count")
    reason = _wrong_values(found, architecture) or _wrong_tensors(found.tensors, experts)
    if reason:
        msg = f"{path.name} {reason}."
        raise AdapterError(msg, _CHOOSE)


def _wrong_values(found: header.Header, architecture: str) -> str:
    values = found.values
    kind = values.get("general.type")
    if kind != "adapter":
        return f"is not an adapter but a {kind if kind and isinstance(kind, str) else 'model'}"
    if values.get("adapter.type") != "lora":
        return f"is an adapter of type {values.get('adapter.type')!r}, not a LoRA"
    if values.get("general.architecture") != architecture:
        return f"is for models of architecture {values.get('general.architecture')!r}, and this one is {architecture!r}"
    alpha = values.get("adapter.lora.alpha", 0.0)
    if found.kinds.get("adapter.lora.alpha", header.FLOAT32) != header.FLOAT32 or not math.isfinite(alpha):
        return f"has an alpha of {alpha!r}, which must be a number of 32 bits"
    if found.kinds.get("general.alignment", header.UINT32) != header.UINT32:
        return f"has an alignment of {values['general.alignment']!r} in the wrong type"
    if "adapter.alora.invocation_tokens" in values:
        return "is an activated LoRA, which begins at certain tokens only; these are not supported"
    return ""


def _wrong_tensors(tensors: dict[str, header.Tensor], experts: str) -> str:
    if not tensors:
        return "holds no weights"
    for name, tensor in tensors.items():
        if tensor.type not in _NUMBERS:
            return f"has numbers of a type that cannot be added (ggml type {tensor.type}) in {name}"
        if not tensor.shape or min(tensor.shape) < 1:
            return f"has an empty matrix, {name}"
        # Each expert has its own; the number of matrices is one that llama.cpp does not compare.
        wanted = int(experts) if "_exps." in name and experts else 1
        if math.prod(tensor.shape[2:]) != wanted:
            return f"does not fit the model: {name} has {math.prod(tensor.shape[2:])} matrices, not {wanted}"
        if name.startswith("token_embd."):  # ends the process where the same matrix is the output
            return "changes the embedding of tokens, which llama.cpp can do with some models only"
    return ""
