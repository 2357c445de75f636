"""What the model of this process can do without a conversation."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, cast

from . import protocol as p
from .chat.classrooms import current
from .chat.provenance import run_noting, seeded
from .chat.reply import Reply
from .errors import GenerationError, ParameterError
from .library.references import model_text
from .options import LoadOptions
from .requests import new_id
from .wire import build
from .worker import Worker, shared

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from .activity import Status
    from .library.judge import Estimate


def complete(
    prompt: str,
    suffix: str | None = None,
    model: object = None,
    *,
    worker: Worker | None = None,
    **options: Any,  # noqa: ANN401 - checked against GenerationOptions
) -> Reply:
    """Go on with a text as it stands, without a chat template, and wait for it.

    Parameters
    ----------
    prompt : str
        What to go on with.
    suffix : str, optional
        What follows: the model fills in what stands between the two, if it was made for that.
    model : str or path or Model, optional
        Who does it, by default that of the classroom, or the one in memory. It is loaded if it is not, in place
        of the one that is.
    worker : Worker, optional
        By default the one that all conversations of this process share.
    **options
        As in ``GenerationOptions``: max_tokens, temperature, stop, json_schema, top_logprobs, ...

    Returns
    -------
    Reply
        What comes next; without the prompt.

    Raises
    ------
    ParameterError
        If an option is wrong, or the model cannot fill in the middle.
    NoModelError
        If no model is named and none is in memory.
    GenerationError
        If it cannot be done.

    Examples
    --------
    >>> lw.complete("one, two, three,", max_tokens=2, temperature=0).text  # doctest: +SKIP
    ' four,'
    """
    if wrong := [text for text in cast("list[object]", [prompt, suffix or ""]) if not isinstance(text, str)]:
        msg = f"A prompt must be text, not {type(wrong[0]).__name__}."
        raise ParameterError(msg, "For example lw.complete('one, two, three,').")
    room = current()
    settings = room.settings.changed(options)
    if settings != (only := replace(room.settings, options=settings.options, schema=settings.schema)):
        changed = next(name for name in options if getattr(settings, name) != getattr(only, name))
        msg = f"{changed!r} is an option of a conversation."
        raise ParameterError(msg, "Ask a Chat, or leave it out.")
    named = room.asked(model)
    command = p.GenerateCompletion(
        request_id=new_id(),
        prompt=prompt,
        suffix=suffix,
        options=seeded(settings.options),
        model=named,
        load=room.load if named else None,
    )
    done, made = run_noting(worker or shared(), command)
    return Reply(
        text=done.text,
        stop_reason=done.stop_reason,
        usage=done.usage,
        timings=done.timings,
        model=named or "",
        logprobs=done.logprobs,
        schema=settings.schema,
        provenance=made,
        asked={"prompt": prompt},
    )


def embed(
    texts: Iterable[str],
    model: object = None,
    *,
    worker: Worker | None = None,
    **load_options: Any,  # noqa: ANN401 - checked against LoadOptions
) -> NDArray[np.float32]:
    """Turn each text into a vector, and wait for it.

    Parameters
    ----------
    texts : iterable of str
        What to embed.
    model : str or path or Model, optional
        Who does it, by default that of the classroom, or the one in memory. It is loaded if it is not, in place
        of the one that is.
    worker : Worker, optional
        By default the one that all conversations of this process share.
    **load_options
        As in ``LoadOptions``: n_ctx, n_gpu_layers, ...

    Returns
    -------
    numpy.ndarray
        Of shape (number of texts, length of a vector) and type float32, as the model makes them: see its ``supports``.

    Raises
    ------
    ParameterError
        If ``texts`` are not texts, or an option is wrong.
    ModelError
        If the model cannot be loaded, or has no embeddings.
    GenerationError
        If somebody stopped it.

    Examples
    --------
    >>> lw.embed(["Why is the sky blue?", "Because of Rayleigh."], "embedder.gguf").shape  # doctest: +SKIP
    (2, 384)
    """
    import numpy as np

    if isinstance(texts, (str, bytes)) or not isinstance(texts, Iterable):
        msg = f"The texts must be a list of strings, not {type(texts).__name__}."
        raise ParameterError(msg, "For one text: lw.embed([text])[0].")
    given = list(texts)
    if wrong := [text for text in cast("list[object]", given) if not isinstance(text, str)]:
        msg = f"The texts must be strings, not {type(wrong[0]).__name__}."
        raise ParameterError(msg, "For a column of a table: lw.embed(table['column'].astype(str)).")
    build(LoadOptions, load_options, where="the load options", error=ParameterError)
    room = current()
    named = room.asked(model)
    load = room.check_load(replace(room.load or LoadOptions(), **load_options)) if load_options else room.load
    if load_options and named is None:
        msg = "Load options were given, but no model."
        raise ParameterError(msg, "Name the model to load with them.")
    command = p.Embed(request_id=new_id(), texts=given, model=named, load=load if named else None)
    done = cast("p.EmbedDone", (worker or shared()).run(command))
    if done.cancelled:
        msg = "The texts were not embedded: it was stopped."
        raise GenerationError(msg, "Ask again.")
    numbers = np.frombuffer(base64.b64decode(done.data), dtype="<f4").astype(np.float32)  # a copy that can be changed
    return numbers.reshape(done.shape or (0, 0))


def count_tokens(text: str, model: object = None, *, worker: Worker | None = None) -> int:
    """Return how many tokens a text is for the model in memory; answers that are being made go on.

    Parameters
    ----------
    text : str
        What to count, as plain text: a chat template adds a few tokens for each message.
    model : str or path or Model, optional
        Which model must be the one in memory; nothing is loaded.
    worker : Worker, optional
        By default the one that all conversations of this process share.

    Raises
    ------
    NoModelError
        If no model is in memory, or another one.

    Examples
    --------
    >>> lw.count_tokens("Why is the sky blue?")  # doctest: +SKIP
    6
    """
    return counted([text], model_text(model) or None, worker or shared())[0]


def counted(texts: list[str], model: str | None, worker: Worker) -> list[int]:
    """Return how many tokens each text is for ``model``, or for the one in memory."""
    end = worker.run(p.CountTokens(request_id=new_id(), texts=texts, model=model))
    data = cast("p.Info", end).data
    if "tokens" not in data:
        msg = "The tokens were not counted: it was stopped."
        raise GenerationError(msg, "Ask again.")
    return cast("list[int]", data["tokens"])


def estimate(
    model: object,
    n_ctx: int | Literal["auto"] = "auto",
    *,
    token: str | None = None,
    worker: Worker | None = None,
    **options: Any,  # noqa: ANN401 - checked against LoadOptions
) -> Estimate:
    """Return whether a model would fit into memory, in place of the one that is there; nothing is loaded.

    A model on this machine is judged by what llama.cpp itself would allocate. Of one that is still on the hub the first
    64 kB are fetched, where the header says how large its layers are.

    Parameters
    ----------
    model : str or path or Model
        A path, a reference such as "hf:user/repo:Q4_K_M", or an entry of ``llama_widgets.models()``.
    n_ctx : int or "auto"
        Tokens of the context. "auto" is the training size, at most 8,192, as for a load.
    token : str, optional
        For gated and private models, where the one that you logged in with does not do.
    worker : Worker, optional
        Whose model would be replaced, by default the one that all conversations of this process share.
    **options
        As in ``LoadOptions``: cache_type_k, n_seq_max, n_gpu_layers, ...

    Raises
    ------
    ParameterError
        If an option is wrong.
    ModelError
        If there is no such model, or its header cannot be read.
    DownloadError
        If it is not here, and the hub cannot be reached or does not say what it is.

    Examples
    --------
    >>> print(lw.estimate("hf:user/repo:Q4_K_M", n_ctx=32_768))  # doctest: +SKIP
    fits: 3.6 GB at 32,768 tokens; 14.9 GB are free for it
    """
    from .engines import memory
    from .library import judge

    checked = build(LoadOptions, {"n_ctx": n_ctx} | options, where="the load options", error=ParameterError)
    freed, freed_gpu = (worker or shared()).status().freed
    return judge.estimate(model_text(model), checked, memory.Room.now(freed, freed_gpu), token)


def status() -> Status:
    """Return what goes on: the model in memory, the sequences of its context, what runs and what waits.

    Returns
    -------
    Status
        ``print`` shows it in a line. Nothing is started to find out.
    """
    return shared().status()
