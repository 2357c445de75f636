"""Making a reply again, and saying whether it comes out the same."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, cast

from .. import protocol as p
from ..errors import GenerationError, ModelNotFoundError, ParameterError
from ..library.references import model_text
from ..options import GenerationOptions
from ..requests import new_id
from ..wire import decode
from ..worker import shared
from .provenance import run_noting
from .reply import Reply

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..worker import Worker

_AROUND = 40
"""Characters that are shown on each side of the first difference."""
_OPTIONS = {f.name for f in fields(GenerationOptions)}
_ASKED = ("messages", "prompt")


@dataclass(frozen=True, kw_only=True, repr=False)
class Replayed:
    """What came of making a reply again. ``print`` says it in a few lines.

    Attributes
    ----------
    same : bool
        Whether the text is the same. Of a reply that was stopped, as far as it goes.
    at : int or None
        The first character that is different, counted from 0.
    token : int or None
        The first token that is different, where both replies have ``logprobs``.
    reply : Reply
        What was made now.
    before : Reply
        What had been made.
    differences : dict of str to tuple
        What else is different, each as it was then and as it is now: "model_sha256", "versions.llama_cpp",
        "hardware.devices", ... Only what is known of both.
    """

    same: bool
    at: int | None
    token: int | None
    reply: Reply = field(repr=False)
    before: Reply = field(repr=False)
    differences: dict[str, tuple[Any, Any]]

    def __str__(self) -> str:
        """Return whether it is the same, and if not, where it is not and what may be the reason."""
        if self.at is None:
            cut = self.before.stop_reason == "abort"
            lines = [
                "The same, as far as the reply goes that was stopped." if cut else "The same, to the last character."
            ]
        else:
            token = f" (token {self.token})" if self.token is not None else ""
            then, now = (_around(reply.text, self.at) for reply in (self.before, self.reply))
            lines = [f"Different from character {self.at:,}{token} on:", f"  then {then}", f"  now  {now}"]
        lines += [f"{name}: {_short(then)} then, {_short(now)} now" for name, (then, now) in self.differences.items()]
        if self.at is not None and "reproducible" in self.differences:
            lines.append("Without reproducible=True, what ran beside it may have changed a token.")
        return "\n".join(lines)

    def __repr__(self) -> str:
        """Return the first line of the text."""
        return f"<Replayed: {str(self).splitlines()[0]}>"


def replay(reply: Reply, model: object = None, worker: Worker | None = None) -> Replayed:
    """Make a reply again; see ``Reply.replay``."""
    made = reply.made
    command = _command(made, model_text(model))
    if cut := reply.stop_reason == "abort":
        most = max(1, reply.usage.completion_tokens)
        command = replace(command, options=replace(command.options, max_tokens=most))
    try:
        done, provenance = run_noting(worker or shared(), command)
    except ModelNotFoundError as error:
        msg = f"The model that made this reply is not here. {error.message}"
        raise ModelNotFoundError(msg, f"{error.hint} Or name its file: reply.replay('model.gguf').") from error
    if done.stop_reason == "abort":
        msg = "The replay was stopped."
        raise GenerationError(msg, "Start it again.")
    prefix = made["parameters"].get("response_prefix", "")
    again = Reply(
        text=prefix + done.text,
        stop_reason=done.stop_reason,
        usage=done.usage,
        timings=done.timings,
        thoughts=done.thoughts,
        model=command.model or "",
        logprobs=[*reply.logprobs[: len(command.response_tokens)], *done.logprobs],
        dropped=done.dropped,
        schema=reply.schema,
        provenance=provenance,
        asked=reply.asked,
    )
    at = _first(reply.text, again.text, cut=cut)
    token = None
    if at is not None and reply.logprobs and again.logprobs:
        token = _first(*([each["token"] for each in one.logprobs] for one in (reply, again)), cut=False)
    return Replayed(
        same=at is None,
        at=at,
        token=token,
        reply=again,
        before=reply,
        differences=_differences(made, again.made),
    )


def _command(made: dict[str, Any], model: str) -> p.Generate:
    """Return what to ask the worker, with all of it checked: it may come from somebody's file."""
    given = made.get("parameters")
    if not isinstance(given, dict) or not any(name in made for name in _ASKED):
        msg = "This reply does not say how it was made, so it cannot be made again."
        raise ParameterError(msg, "Take one that ask() returned, or an answer of a conversation that was kept.")
    options = {name: value for name, value in given.items() if name in _OPTIONS}
    plain = {
        **{name: value for name, value in given.items() if name not in _OPTIONS},
        **{name: made[name] for name in _ASKED if name in made},
        "type": "generate_chat_completion" if "messages" in made else "generate_completion",
        "request_id": new_id(),
        "options": {**options, "reproducible": True},
        "model": model or made.get("model") or None,
        "load": made.get("load"),
    }
    return cast("p.Generate", decode(plain, p.COMMANDS))


def _first(before: Sequence[Any], after: Sequence[Any], *, cut: bool) -> int | None:
    """Return where two texts begin to differ; ``None`` if nowhere, or not where the first was ``cut``."""
    for at, (one, other) in enumerate(zip(before, after, strict=False)):
        if one != other:
            return at
    same = len(before) <= len(after) if cut else len(before) == len(after)
    return None if same else min(len(before), len(after))


def _differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return what is known of both and different, of what an answer may depend on."""
    found: dict[str, tuple[Any, Any]] = {}
    for name in ("model_sha256", "quantisation", "template_sha256", "n_ctx", "versions", "hardware"):
        one, other = then.get(name), now.get(name)
        if isinstance(one, dict) and isinstance(other, dict):
            found |= {f"{name}.{key}": (one[key], other[key]) for key in one.keys() & other.keys()}
        else:
            found[name] = one, other
    different = {name: pair for name, pair in found.items() if all(pair) and pair[0] != pair[1]}
    if not then["parameters"].get("reproducible"):
        different["reproducible"] = False, True
    return different


def _around(text: str, at: int) -> str:
    """Return the text around a character, in one line."""
    begin, end = max(0, at - _AROUND), at + _AROUND
    return repr(f"{'…' if begin else ''}{text[begin:end]}{'…' if end < len(text) else ''}")


def _short(value: object) -> str:
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return f"{text[:_AROUND]}…" if len(text) > _AROUND else text
