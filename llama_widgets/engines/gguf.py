"""What can be said about a model file before llama.cpp is asked to read it."""

from __future__ import annotations

import re
import stat
import struct
from typing import TYPE_CHECKING

from ..errors import InvalidModelError, ModelError, ModelNotFoundError, ModelPermissionError

if TYPE_CHECKING:
    from pathlib import Path

_HEADER = struct.Struct("<4sIQQ")  # magic, version, number of tensors, number of metadata entries
_MAGIC = b"GGUF"
_AGAIN = "Download it again, or choose another file."


def check(path: Path, *, weights: bool = True) -> None:
    """Raise a ``ModelError`` that says what is wrong if ``path`` cannot be a model, with weights if they are needed.

    Reads the 24 bytes of the header; what lies behind them is llama.cpp's to judge.
    """
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            msg = f"{path} is a folder, not a model."
            raise InvalidModelError(msg, "Choose a .gguf file within it.")
        if not stat.S_ISREG(mode):  # opening a pipe or a device could wait for ever
            msg = f"{path} is not a regular file."
            raise InvalidModelError(msg, "Choose a .gguf file.")
        with path.open("rb") as file:
            header = file.read(_HEADER.size)
    except (FileNotFoundError, NotADirectoryError, ValueError) as error:  # ValueError: a NUL character in the path
        msg = f"There is no file {str(path)!r}."
        raise ModelNotFoundError(msg, "Check the path, or choose a model from the list.") from error
    except PermissionError as error:
        msg = f"{path} may not be read."
        raise ModelPermissionError(msg, "Ask its owner for read permission, or choose another file.") from error
    except OSError as error:
        msg = f"{path} cannot be read: {error.strerror}."
        raise ModelError(msg, "Check the disk, or choose another file.") from error
    _check_header(path, header, weights)


def _check_header(path: Path, header: bytes, weights: bool) -> None:
    if not header:
        msg = f"{path.name} is empty."
        raise InvalidModelError(msg, _AGAIN)
    if not header.startswith(_MAGIC):
        msg = f"{path.name} is not a GGUF file."
        raise InvalidModelError(msg, "llama.cpp reads models in the GGUF format, files that end in .gguf.")
    if len(header) < _HEADER.size:
        msg = f"{path.name} is cut short: it ends within its header."
        raise InvalidModelError(msg, _AGAIN)
    n_tensors = _HEADER.unpack(header)[2]
    # The first part of a split model may carry metadata only.
    if weights and n_tensors == 0 and not re.search(r"-00001-of-\d{5}\.gguf$", path.name):
        msg = f"{path.name} holds a vocabulary only, no weights."
        raise InvalidModelError(msg, "It can split text into tokens but not answer. Choose a whole model.")
