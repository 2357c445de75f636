"""What the next question of a panel is asked with, as traits."""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Any

import traitlets

from ..chat.settings import NAMES, Settings

if TYPE_CHECKING:
    from ..chat.conversation import Chat

_DEFAULTS = Settings()
_OPTIONS = {"stop_strings" if name == "stop" else name: name for name in NAMES if name != "response_prefix"}
"""The traits, each with the option that it sets. ``stop`` is what panels do."""


def _value(settings: Settings, option: str) -> Any:  # noqa: ANN401 - an option of any type
    if option == "json_schema":
        return settings.schema
    return getattr(settings.options, option) if hasattr(settings.options, option) else getattr(settings, option)


class _Option(traitlets.TraitType[Any, Any]):
    """Checked by ``Settings``, where the ranges are, and not again by a trait type.

    Not traitlets.Any, which passes None on unchecked, so that max_tokens = None would change the trait and no answer.
    """

    def __init__(self, option: str, home: str = "GenerationOptions") -> None:
        super().__init__(_value(_DEFAULTS, option), help=f"As {option} of {home}.")

    def default(self, obj: Any = None) -> Any:  # noqa: ANN401 - as traitlets declares it
        """Return a default of one's own: some are lists."""
        return copy(super().default(obj))


class AnswerTraits(traitlets.HasTraits):
    """One trait for each option of a question; needs ``_chat`` before it is constructed."""

    _chat: Chat

    max_tokens = _Option("max_tokens")
    temperature = _Option("temperature")
    dynatemp_range = _Option("dynatemp_range")
    dynatemp_exponent = _Option("dynatemp_exponent")
    top_k = _Option("top_k")
    top_p = _Option("top_p")
    min_p = _Option("min_p")
    typical_p = _Option("typical_p")
    top_n_sigma = _Option("top_n_sigma")
    xtc_probability = _Option("xtc_probability")
    xtc_threshold = _Option("xtc_threshold")
    dry_multiplier = _Option("dry_multiplier")
    dry_base = _Option("dry_base")
    dry_allowed_length = _Option("dry_allowed_length")
    dry_penalty_last_n = _Option("dry_penalty_last_n")
    dry_sequence_breakers = _Option("dry_sequence_breakers")
    mirostat = _Option("mirostat")
    mirostat_tau = _Option("mirostat_tau")
    mirostat_eta = _Option("mirostat_eta")
    repeat_last_n = _Option("repeat_last_n")
    repeat_penalty = _Option("repeat_penalty")
    frequency_penalty = _Option("frequency_penalty")
    presence_penalty = _Option("presence_penalty")
    logit_bias = _Option("logit_bias")
    seed = _Option("seed")
    stop_strings = _Option("stop")
    grammar = _Option("grammar")
    json_schema = _Option("json_schema")
    top_logprobs = _Option("top_logprobs")
    thinking_budget = _Option("thinking_budget")
    context_overflow = _Option("context_overflow")
    reproducible = _Option("reproducible")

    thinking = _Option("thinking", "AnswerOptions")
    tool_choice = _Option("tool_choice", "AnswerOptions")
    tool_timeout = _Option("tool_timeout", "AnswerOptions")
    max_tool_rounds = _Option("max_tool_rounds", "AnswerOptions")
    tools = _Option("tools", "Chat")
    confirm = _Option("confirm", "Chat")

    @traitlets.validate(*_OPTIONS)
    def _check_option(self, proposal: Any) -> Any:  # noqa: ANN401 - a traitlets Bunch
        option = _OPTIONS[proposal.trait.name]
        self._chat.configure(**{option: proposal.value})
        return _value(self._chat.settings, option)
