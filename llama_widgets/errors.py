"""Every error of llama-widgets, in one tree.

Each error has a ``code`` that does not change between versions, says in its message what failed, and in ``hint``
what to do about it. Where Python has a class for the same thing, the error is that too, so either can be caught.

::

    LlamaWidgetsError
    ├── ProtocolError (ValueError)          a message that is not of the protocol
    ├── ParameterError (ValueError)         an option or argument of the wrong type or out of range
    │   ├── LockedError                     a setting that is locked for a class
    │   ├── GrammarError                    a grammar or a JSON schema that no answer can be held to
    │   ├── FillError                       what was to be put into a message cannot be
    │   └── SweepError                      a sweep of no runs or far too many, or a file that holds none
    ├── BusyError                           this conversation is still answering
    ├── NoModelError                        something was asked, and no model was named
    ├── ClosedError                         the worker has been shut down
    ├── ModelError
    │   ├── ModelNotFoundError (FileNotFoundError)    no such file, or not on this machine yet
    │   ├── ModelPermissionError (PermissionError)    the file may not be read
    │   ├── InvalidModelError               a folder, an empty file, not a GGUF, cut short, vocabulary only
    │   ├── AdapterError                    a LoRA adapter that is not one, or is for another model
    │   ├── InsufficientMemoryError (MemoryError)     it needs more memory than is free
    │   └── ContextError                    llama.cpp could not make the context
    ├── PresetError (ValueError)            a preset that is not there, is none, or cannot be saved
    ├── ConversationError (ValueError)      a kept conversation that is not there, cannot be read, or cannot be written
    ├── DeleteError                         a file that is not ours to delete, or is in use
    ├── GenerationError
    │   ├── ContextOverflowError            the prompt does not fit the context
    │   └── EngineError                     llama.cpp failed in the middle
    └── DownloadError
        ├── UnknownReferenceError (LookupError)       not a reference, or the hub knows no such model
        ├── GatedModelError (PermissionError)         401 or 403: access must be asked for
        ├── HubError                        the hub answers, but not with the file: 429, 500 ...
        ├── NetworkError (ConnectionError)  the hub cannot be reached
        ├── DiskFullError (OSError)         no room for the file
        └── ChecksumError                   the bytes are not those the hub promised
"""

from __future__ import annotations

from typing import ClassVar


class LlamaWidgetsError(Exception):
    """Base of all errors of this package.

    Parameters
    ----------
    message : str
        What failed, in one sentence.
    hint : str
        What to do about it; may be empty.

    Attributes
    ----------
    code : str
        Stable name of the kind of error, the same on the wire.
    recoverable : bool
        Whether the same request can succeed later without a change in code.
    """

    code: ClassVar[str] = "internal"
    recoverable: ClassVar[bool] = True

    def __init__(self, message: str, hint: str = "") -> None:
        self.message = message
        self.hint = hint
        super().__init__(message)

    def __str__(self) -> str:
        """Return the message followed by the hint."""
        return f"{self.message} {self.hint}".rstrip()


class ProtocolError(LlamaWidgetsError, ValueError):
    """A message is not of the protocol; nothing was done."""

    code = "protocol"


class ParameterError(LlamaWidgetsError, ValueError):
    """An option or argument has the wrong type or is out of range."""

    code = "parameter"


class LockedError(ParameterError):
    """A setting is locked for a class; nothing was changed."""

    code = "locked"

    @classmethod
    def of(cls, name: str, where: str) -> LockedError:
        """Return the error for a setting that was locked by somebody."""
        msg = f"{name!r} is set for this class and cannot be changed."
        return cls(msg, f"It was locked by {where}.")


class GrammarError(ParameterError):
    """A grammar or a JSON schema cannot be compiled, or no answer can be held to it."""

    code = "grammar"


class FillError(ParameterError):
    """A variable, an expression or a file that was to be put into a message cannot be."""

    code = "fill"


class SweepError(ParameterError):
    """A sweep has no runs or far too many, or its file cannot be read or written; nothing was started."""

    code = "sweep"


class BusyError(LlamaWidgetsError):
    """The conversation is still answering."""

    code = "busy"


class NoModelError(LlamaWidgetsError):
    """Something was asked of a conversation that has no model."""

    code = "no_model"


class ClosedError(LlamaWidgetsError):
    """The worker has been shut down."""

    code = "closed"


class ModelError(LlamaWidgetsError):
    """A model cannot be loaded."""

    code = "model"


class ModelNotFoundError(ModelError, FileNotFoundError):
    """There is no such file, or the model is not on this machine yet."""

    code = "model_not_found"


class ModelPermissionError(ModelError, PermissionError):
    """The model file may not be read."""

    code = "model_permission"


class InvalidModelError(ModelError):
    """The file is not a model that can answer."""

    code = "invalid_model"


class AdapterError(ModelError):
    """A LoRA adapter cannot be applied."""

    code = "adapter"


class InsufficientMemoryError(ModelError, MemoryError):
    """The model and its context need more memory than is free; the message has the numbers."""

    code = "insufficient_memory"


class ContextError(ModelError):
    """llama.cpp could not make the context."""

    code = "context"


class PresetError(LlamaWidgetsError, ValueError):
    """A preset is not there, is not one, or cannot be saved or deleted; no setting was changed."""

    code = "preset"


class DeleteError(LlamaWidgetsError):
    """A file is not ours to delete, or is in use; nothing was deleted."""

    code = "delete"


class ConversationError(LlamaWidgetsError, ValueError):
    """A kept conversation is not there, cannot be read, or cannot be written; no file was changed."""

    code = "conversation"


class GenerationError(LlamaWidgetsError):
    """An answer could not be made."""

    code = "generation"


class ContextOverflowError(GenerationError):
    """The prompt, or its last message alone, does not fit the context."""

    code = "context_overflow"


class EngineError(GenerationError):
    """llama.cpp failed in the middle of an answer."""

    code = "engine"


class DownloadError(LlamaWidgetsError):
    """A model cannot be downloaded."""

    code = "download"


class UnknownReferenceError(DownloadError, LookupError):
    """The text is not a reference, or the hub knows no such model."""

    code = "unknown_reference"


class GatedModelError(DownloadError, PermissionError):
    """The hub wants a token, or access must be asked for first."""

    code = "gated"


class HubError(DownloadError):
    """The hub answered, but not with the file."""

    code = "hub"


class NetworkError(DownloadError, ConnectionError):
    """The hub cannot be reached."""

    code = "network"


class DiskFullError(DownloadError, OSError):
    """There is no room for the file."""

    code = "disk_full"


class ChecksumError(DownloadError):
    """The bytes that arrived are not those the hub promised."""

    code = "checksum"


def _tree(root: type[LlamaWidgetsError]) -> dict[str, type[LlamaWidgetsError]]:
    return {root.code: root} | {code: cls for sub in root.__subclasses__() for code, cls in _tree(sub).items()}


_BY_CODE = _tree(LlamaWidgetsError)


def from_code(code: str, message: str, hint: str = "") -> LlamaWidgetsError:
    """Return the error that ``code`` names: the way back from an ``error`` event to an exception."""
    return _BY_CODE.get(code, LlamaWidgetsError)(message, hint)
