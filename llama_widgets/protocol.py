"""The messages that cross the worker's border: commands in, events out.

Plain data on both sides, so that a thread, a child process and a remote server are interchangeable behind it. Every
request ends exactly once, with the event that ``ENDS`` names or with ``error``; an abort ends a request in its own
success, with what was made until then. Twins: ``frontend/src/commands.ts``, ``protocol.ts``; held to ``tests/golden``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from .options import GenerationOptions, LoadOptions
from .wire import Message, decode, param, secret, table

VERSION = 1

StopReason = Literal["eos", "stop", "max_tokens", "context_full", "tool_calls", "abort"]
Segment = Literal["text", "thought"]
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
    """Continue a text, or with ``suffix`` fill in what stands between the two. Ends with ``completion_done``.

    ``model`` is loaded first, with ``load``, if it is not. ``conversation`` names whose memory may be cut back and
    gone on with; it changes what is computed again, never what is answered. ``response_tokens`` are the first tokens of
    the answer, put there as they are: texts are written with other tokens too, and a token may be half a character.
    """

    type = "generate_completion"
    prompt: str
    suffix: str | None = None
    options: GenerationOptions = field(default_factory=GenerationOptions)
    model: str | None = None
    load: LoadOptions | None = None
    conversation: str = ""
    response_tokens: list[int] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class GenerateChatCompletion(Message):
    """Answer a conversation. What it shares with the command above is as there. Ends with ``completion_done``.

    ``messages`` have ``role`` and ``content``; those of an assistant that called tools ``tool_calls``, and those with
    the role "tool" the result and the ``name`` of one. ``tools`` are functions as OpenAI's interface describes them:
    ``{"type": "function", "function": {"name", "description", "parameters": JSON schema}}``. The answer goes on from
    ``response_prefix``, which is not part of it; ``response_tokens``, which follow that, are.
    """

    type = "generate_chat_completion"
    messages: list[dict[str, Any]]
    options: GenerationOptions = field(default_factory=GenerationOptions)
    model: str | None = None
    load: LoadOptions | None = None
    conversation: str = ""
    thinking: bool | Literal["auto"] = "auto"
    response_prefix: str = ""
    tools: list[dict[str, Any]] = field(default_factory=list)
    tool_choice: Literal["auto", "required", "none"] = "auto"
    response_tokens: list[int] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Embed(Message):
    """Turn each text into a vector. ``model`` is loaded first if it is not. Ends with ``embed_done``."""

    type = "embed"
    texts: list[str]
    model: str | None = None
    load: LoadOptions | None = None


@dataclass(frozen=True, kw_only=True)
class CountTokens(Message):
    """Count the tokens of each text. Never loads a model, and waits for no answer.

    Ends with ``info``, whose ``data`` has ``tokens``: a number for each text.
    """

    type = "count_tokens"
    texts: list[str]
    model: str | None = None


@dataclass(frozen=True, kw_only=True)
class Predict(Message):
    """Say how likely each token is to come next, and what the samplers leave of that. Ends with ``predict_done``.

    Next after ``prompt``, or in the answer to ``messages`` if there are any, which begins with ``response_prefix`` and
    ``response_tokens``. Of ``options``, those of the samplers count. ``top`` is how many of the likeliest to tell.
    """

    type = "predict"
    prompt: str = ""
    messages: list[dict[str, Any]] = field(default_factory=list)
    thinking: bool | Literal["auto"] = "auto"
    tools: list[dict[str, Any]] = field(default_factory=list)
    response_prefix: str = ""
    response_tokens: list[int] = field(default_factory=list)
    options: GenerationOptions = field(default_factory=GenerationOptions)
    top: int = param(50, 1, 1_000_000)
    model: str | None = None
    load: LoadOptions | None = None
    conversation: str = ""


@dataclass(frozen=True, kw_only=True)
class Judge(Message):
    """Say how likely each token of ``text`` is where it stands. Ends with ``judge_done``.

    It stands after ``prompt``, or in the answer to ``messages`` if there are any. ``tokens`` follow it as they are, and
    are judged too. ``top`` is how many of the likeliest to tell beside each.
    """

    type = "judge"
    text: str = ""
    tokens: list[int] = field(default_factory=list)
    prompt: str = ""
    messages: list[dict[str, Any]] = field(default_factory=list)
    thinking: bool | Literal["auto"] = "auto"
    tools: list[dict[str, Any]] = field(default_factory=list)
    top: int = param(10, 0, 1_000)
    model: str | None = None
    load: LoadOptions | None = None


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
    Init
    | LoadModel
    | UnloadModel
    | CreateContext
    | GenerateCompletion
    | GenerateChatCompletion
    | Embed
    | CountTokens
    | Predict
    | Judge
    | DownloadModel
    | Abort
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
    """The next piece of an answer. ``seq`` counts from 0; ``tokens`` is how many were made so far.

    ``logprobs`` are those of the tokens since the piece before, if they were asked for: each has the ``token``, its
    ``text``, its ``logprob`` and in ``top`` the likeliest, with the same three.
    """

    type = "completion_chunk"
    seq: int
    text: str
    tokens: int = 0
    segment: Segment = "text"
    logprobs: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Usage:
    """True token counts. ``cached_tokens`` of the prompt were reused and not computed again.

    ``thought_tokens`` are those of the answer that the model thought, ``evaluated_tokens`` all tokens of prompts that
    were computed for this answer: more than the prompt less the cached ones where something was read again.
    """

    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    thought_tokens: int = 0
    evaluated_tokens: int = 0


@dataclass(frozen=True, kw_only=True)
class Timings:
    """Time to the first token in seconds, and tokens per second of prompt and answer; ``None`` where none was.

    ``thought_s`` is how long the model thought, in seconds.
    """

    ttft_s: float | None = None
    prefill_tps: float | None = None
    decode_tps: float | None = None
    thought_s: float | None = None


@dataclass(frozen=True, kw_only=True)
class CompletionDone(Message):
    """The whole answer, why it ended, and what it cost.

    ``tool_calls`` are the functions that the model wants called, each with an ``id``, a ``name`` and ``arguments``.
    ``dropped`` is how many of the oldest messages were left out because the context was full.
    """

    type = "completion_done"
    text: str
    stop_reason: StopReason
    thoughts: str = ""
    tool_calls: list[dict[str, Any]] = field(default_factory=list)
    logprobs: list[dict[str, Any]] = field(default_factory=list)
    dropped: int = 0
    usage: Usage = field(default_factory=Usage)
    timings: Timings = field(default_factory=Timings)


@dataclass(frozen=True, kw_only=True)
class ModelLoaded(Message):
    """The model is ready; or, with ``cancelled``, its load was aborted and no model is loaded.

    ``memory`` is the bytes of weights and context, ``n_params`` a count, ``template`` where the chat template is from,
    ``template_sha256`` the hash of its text.
    ``supports`` says what it can do: chat, embeddings, infill, thinking, tools, vision.
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
    n_seq_max: int = 0
    template: Literal["model", "plain", "given"] = "model"
    template_sha256: str = ""
    memory: int = 0
    supports: dict[str, bool] = field(default_factory=dict)
    cancelled: bool = False


@dataclass(frozen=True, kw_only=True)
class EmbedDone(Message):
    """A vector for each text: ``data`` is their float32 numbers in base64, little-endian, of ``shape`` (texts, length).

    Empty, with ``cancelled``, if it was stopped. ``tokens`` were read.
    """

    type = "embed_done"
    data: str = ""
    shape: list[int] = field(default_factory=list)
    tokens: int = 0
    cancelled: bool = False


@dataclass(frozen=True, kw_only=True)
class PredictDone(Message):
    """What may come next after ``n_tokens``; nothing, with ``cancelled``, if it was stopped.

    Each of ``candidates``, from the likeliest on, has its ``token``, ``text``, ``logprob`` and probability ``p`` as the
    model gives them, ``p_after`` the samplers, its ``rank`` from 1, and by which of them it is ``cut_by``, "" if by
    none. ``stages`` are these samplers in their order: the ``name``, how many tokens are ``kept`` after it, and the
    ``p`` that they had together before any. ``chosen`` is the candidate that they draw. ``ended`` says that the last of
    the ``response_tokens`` is one with which a model ends its answer.
    """

    type = "predict_done"
    candidates: list[dict[str, Any]] = field(default_factory=list)
    stages: list[dict[str, Any]] = field(default_factory=list)
    chosen: dict[str, Any] = field(default_factory=dict)
    n_tokens: int = 0
    n_vocab: int = 0
    ended: bool = False
    cancelled: bool = False


@dataclass(frozen=True, kw_only=True)
class JudgeDone(Message):
    """How likely each token was, after ``n_before`` others; those until then, with ``cancelled``, if it was stopped.

    Each of ``tokens`` has its ``token``, ``text`` (whole characters, each with the token that ends it), ``bytes``,
    ``logprob``, ``rank`` from 1, and in ``top`` the likeliest with ``token``, ``text`` and ``logprob``. The first token
    of all follows nothing: its ``logprob`` and ``rank`` are None.
    """

    type = "judge_done"
    tokens: list[dict[str, Any]] = field(default_factory=list)
    n_before: int = 0
    n_vocab: int = 0
    cancelled: bool = False


@dataclass(frozen=True, kw_only=True)
class DownloadDone(Message):
    """The file is there and verified; or, with ``cancelled``, the download was given up."""

    type = "download_done"
    path: str = ""
    sha256: str = ""
    cancelled: bool = False


Event = (
    Info
    | Error
    | Progress
    | CompletionChunk
    | CompletionDone
    | ModelLoaded
    | EmbedDone
    | PredictDone
    | JudgeDone
    | DownloadDone
)

COMMANDS = table(
    Init,
    LoadModel,
    UnloadModel,
    CreateContext,
    GenerateCompletion,
    GenerateChatCompletion,
    Embed,
    CountTokens,
    Predict,
    Judge,
    DownloadModel,
    Abort,
)
EVENTS = table(
    Info,
    Error,
    Progress,
    CompletionChunk,
    CompletionDone,
    ModelLoaded,
    EmbedDone,
    PredictDone,
    JudgeDone,
    DownloadDone,
)

ENDS: dict[str, type[Message]] = {
    "init": Info,
    "load_model": ModelLoaded,
    "unload_model": Info,
    "create_context": Info,
    "generate_completion": CompletionDone,
    "generate_chat_completion": CompletionDone,
    "embed": EmbedDone,
    "count_tokens": Info,
    "predict": PredictDone,
    "judge": JudgeDone,
    "download_model": DownloadDone,
    "abort": Info,
}
"""The event that ends each command where it does not end in ``error``."""

ABORT_KINDS = {
    "generation": ("generate_completion", "generate_chat_completion", "embed", "predict", "judge"),
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
