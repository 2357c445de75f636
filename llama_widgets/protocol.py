"""The messages that cross the worker's border: commands in, events out.

Plain data on both sides, so that a thread, a child process and a remote server are interchangeable behind it. Every
request ends exactly once, with the event that ``ENDS`` names or with ``error``; an abort ends a request in its own
success, with what was made until then. Twin: ``frontend/src/protocol.ts``; both are held to ``tests/golden``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from .options import GenerationOptions, LoadOptions
from .wire import Message, decode, secret, table

VERSION = 1

StopReason = Literal["eos", "stop", "max_tokens", "context_full", "abort"]
Operation = Literal["load", "prefill", "download", "verify"]


# Commands


@dataclass(frozen=True, kw_only=True)
class Init(Message):
    """Start the engine. Ends with ``info``: versions, backend and devices in ``data``."""

    type = "init"
    protocol: int = VERSION
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class LoadModel(Message):
    """Load the model that a path or reference names, freeing the one before. Ends with ``model_loaded``."""

    type = "load_model"
    model: str
    options: LoadOptions = field(default_factory=LoadOptions)


@dataclass(frozen=True, kw_only=True)
class UnloadModel(Message):
    """Free the model and its memory. Ends with ``info``."""

    type = "unload_model"


@dataclass(frozen=True, kw_only=True)
class CreateContext(Message):
    """Make a new context for the loaded model, freeing the one before. Ends with ``info``."""

    type = "create_context"
    options: LoadOptions = field(default_factory=LoadOptions)


@dataclass(frozen=True, kw_only=True)
class GenerateCompletion(Message):
    """Continue a text. ``model`` is loaded first if it is not. Ends with ``completion_done``."""

    type = "generate_completion"
    prompt: str
    options: GenerationOptions = field(default_factory=GenerationOptions)
    model: str | None = None


@dataclass(frozen=True, kw_only=True)
class GenerateChatCompletion(Message):
    """Answer a conversation. ``model`` is loaded first if it is not. Ends with ``completion_done``."""

    type = "generate_chat_completion"
    messages: list[dict[str, Any]]
    options: GenerationOptions = field(default_factory=GenerationOptions)
    model: str | None = None
    thinking: bool | Literal["auto"] = "auto"
    response_prefix: str = ""


@dataclass(frozen=True, kw_only=True)
class DownloadModel(Message):
    """Download the file or files that a reference names. Ends with ``download_done``."""

    type = "download_model"
    model: str
    revision: str | None = None
    directory: str | None = None
    token: str | None = secret(None)


@dataclass(frozen=True, kw_only=True)
class Abort(Message):
    """Stop a request by its id, or all of a kind. Never queued; always acknowledged with ``info``."""

    type = "abort"
    target: str


Command = (
    Init | LoadModel | UnloadModel | CreateContext | GenerateCompletion | GenerateChatCompletion | DownloadModel | Abort
)
Generate = GenerateCompletion | GenerateChatCompletion


# Events


@dataclass(frozen=True, kw_only=True)
class Info(Message):
    """Something to know. The end of a request that has no result of its own."""

    type = "info"
    level: Literal["info", "warning"] = "info"
    message: str = ""
    data: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Error(Message):
    """The request failed: ``message`` says what, ``hint`` what to do."""

    type = "error"
    code: str
    message: str
    hint: str = ""
    recoverable: bool = True


@dataclass(frozen=True, kw_only=True)
class Progress(Message):
    """How far an operation is: bytes for download and verify, tokens for prefill, thousandths for load.

    ``rate`` is per second, ``eta_s`` in seconds.
    """

    type = "progress"
    operation: Operation
    done: int
    total: int | None = None
    rate: float | None = None
    eta_s: float | None = None


@dataclass(frozen=True, kw_only=True)
class CompletionChunk(Message):
    """The next piece of an answer. ``seq`` counts from 0; ``tokens`` is how many were made so far."""

    type = "completion_chunk"
    seq: int
    text: str
    tokens: int = 0
    segment: Literal["text", "thought"] = "text"


@dataclass(frozen=True, kw_only=True)
class Usage:
    """True token counts. ``cached_tokens`` of the prompt were reused and not computed again."""

    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0


@dataclass(frozen=True, kw_only=True)
class Timings:
    """Time to the first token in seconds, and tokens per second of prompt and answer; ``None`` where none was."""

    ttft_s: float | None = None
    prefill_tps: float | None = None
    decode_tps: float | None = None


@dataclass(frozen=True, kw_only=True)
class CompletionDone(Message):
    """The whole answer, why it ended, and what it cost."""

    type = "completion_done"
    text: str
    stop_reason: StopReason
    thoughts: str = ""
    usage: Usage = field(default_factory=Usage)
    timings: Timings = field(default_factory=Timings)


@dataclass(frozen=True, kw_only=True)
class ModelLoaded(Message):
    """The model is ready; or, with ``cancelled``, its load was aborted and no model is loaded.

    ``memory`` is the bytes of weights and context, ``n_params`` a count, ``template`` where the chat template is from.
    """

    type = "model_loaded"
    model: str
    name: str = ""
    path: str = ""
    architecture: str = ""
    quantisation: str = ""
    n_params: int = 0
    n_ctx: int = 0
    n_ctx_train: int = 0
    template: Literal["model", "plain"] = "model"
    memory: int = 0
    supports: dict[str, bool] = field(default_factory=dict)
    cancelled: bool = False


@dataclass(frozen=True, kw_only=True)
class DownloadDone(Message):
    """The file is there and verified; or, with ``cancelled``, the download was given up."""

    type = "download_done"
    path: str = ""
    sha256: str = ""
    cancelled: bool = False


Event = Info | Error | Progress | CompletionChunk | CompletionDone | ModelLoaded | DownloadDone

COMMANDS = table(
    Init, LoadModel, UnloadModel, CreateContext, GenerateCompletion, GenerateChatCompletion, DownloadModel, Abort
)
EVENTS = table(Info, Error, Progress, CompletionChunk, CompletionDone, ModelLoaded, DownloadDone)

ENDS: dict[str, type[Message]] = {
    "init": Info,
    "load_model": ModelLoaded,
    "unload_model": Info,
    "create_context": Info,
    "generate_completion": CompletionDone,
    "generate_chat_completion": CompletionDone,
    "download_model": DownloadDone,
    "abort": Info,
}
"""The event that ends each command where it does not end in ``error``."""

ABORT_KINDS = {
    "generation": ("generate_completion", "generate_chat_completion"),
    "load": ("load_model", "create_context"),
    "download": ("download_model",),
    "all": tuple(ENDS),
}
"""What ``abort.target`` can name beside a request id, and the commands it stops."""


def decode_command(data: object) -> Command:
    """Return the command that a plain dict holds, or raise ``ProtocolError`` or ``ParameterError``."""
    return decode(data, COMMANDS)  # type: ignore[return-value]


def decode_event(data: object) -> Event:
    """Return the event that a plain dict holds, or raise ``ProtocolError``."""
    return decode(data, EVENTS)  # type: ignore[return-value]
