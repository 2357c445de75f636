"""What the next question of a panel is asked with, as traits."""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Any

import traitlets

from ..chat.presets import system_text
from ..chat.settings import NAMES, Settings
from ..chat.turns import plain_copy
from ..errors import LockedError, ParameterError
from ..options import LoadOptions
from ..wire import build, known

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..chat.conversation import Chat

_DEFAULTS = Settings()
OPTIONS = {"stop_strings" if name == "stop" else name: name for name in NAMES if name != "response_prefix"}
"""The traits, each with the option that it sets. ``stop`` is what panels do."""

SETTINGS = ("system", "n_ctx", *OPTIONS)
"""All traits of this kind."""

TRAITS = {option: trait for trait, option in OPTIONS.items()}
"""The traits by the option that each sets."""

_OBJECTS = ("tools", "confirm")
"""What is no data: it does not travel."""


class _RefusedError(ParameterError, traitlets.TraitError):
    """Also the error of traitlets, which takes back what was held (``hold_trait_notifications``) for no other."""


class _KeptError(LockedError, traitlets.TraitError):
    """The same, of what is locked."""


def travelling(value: Any, _widget: object = None) -> Any:  # noqa: ANN401 - an option of any type
    """Return a trait's value as JSON; a pydantic model is its schema."""
    schema = getattr(value, "model_json_schema", None)
    return plain_copy(schema() if schema else value)


class _Checked(traitlets.TraitType[Any, Any]):
    """Checked where the ranges are, by ``AnswerTraits``, and not again by a trait type.

    Not traitlets.Any, which passes None on unchecked, so that max_tokens = None would change the trait and no answer.
    """

    def default(self, obj: Any = None) -> Any:  # noqa: ANN401 - as traitlets declares it
        """Return what the conversation begins with, as one's own: some are lists."""
        name = OPTIONS.get(str(self.name), str(self.name))
        return copy(super().default(obj) if obj is None else obj._chat.classroom.value(name))  # noqa: SLF001 - of AnswerTraits


def _option(option: str, home: str = "GenerationOptions") -> _Checked:
    trait = _Checked(_DEFAULTS.value(option), help=f"As {option} of {home}.")
    return trait if option in _OBJECTS else trait.tag(sync=True, to_json=travelling)


class AnswerTraits(traitlets.HasTraits):
    """One trait for each option of a question; needs ``_chat`` before it is constructed.

    A trait is checked first, and what it sets is set when it has changed: so nothing is set where traitlets takes a
    change back.
    """

    _chat: Chat

    system = _Checked(None, help="What the model is told before all else: who it is, and how to answer.").tag(sync=True)
    n_ctx = _Checked(LoadOptions().n_ctx, help="As n_ctx of LoadOptions.").tag(sync=True)

    max_tokens = _option("max_tokens")
    temperature = _option("temperature")
    dynatemp_range = _option("dynatemp_range")
    dynatemp_exponent = _option("dynatemp_exponent")
    top_k = _option("top_k")
    top_p = _option("top_p")
    min_p = _option("min_p")
    typical_p = _option("typical_p")
    top_n_sigma = _option("top_n_sigma")
    xtc_probability = _option("xtc_probability")
    xtc_threshold = _option("xtc_threshold")
    dry_multiplier = _option("dry_multiplier")
    dry_base = _option("dry_base")
    dry_allowed_length = _option("dry_allowed_length")
    dry_penalty_last_n = _option("dry_penalty_last_n")
    dry_sequence_breakers = _option("dry_sequence_breakers")
    mirostat = _option("mirostat")
    mirostat_tau = _option("mirostat_tau")
    mirostat_eta = _option("mirostat_eta")
    repeat_last_n = _option("repeat_last_n")
    repeat_penalty = _option("repeat_penalty")
    frequency_penalty = _option("frequency_penalty")
    presence_penalty = _option("presence_penalty")
    logit_bias = _option("logit_bias")
    seed = _option("seed")
    stop_strings = _option("stop")
    grammar = _option("grammar")
    json_schema = _option("json_schema")
    top_logprobs = _option("top_logprobs")
    thinking_budget = _option("thinking_budget")
    context_overflow = _option("context_overflow")
    reproducible = _option("reproducible")

    thinking = _option("thinking", "AnswerOptions")
    tool_choice = _option("tool_choice", "AnswerOptions")
    tool_timeout = _option("tool_timeout", "AnswerOptions")
    max_tool_rounds = _option("max_tool_rounds", "AnswerOptions")
    tools = _option("tools", "Chat")
    confirm = _option("confirm", "Chat")

    def configure(self, **options: Any) -> None:  # noqa: ANN401 - checked by their traits
        """Set several of the traits above, or none where one of them cannot be.

        Parameters
        ----------
        **options
            Traits by their names; ``stop`` is ``stop_strings``.

        Raises
        ------
        ParameterError
            If one is unknown, of the wrong type or out of range.
        """
        for name, value in self._checked(options).items():
            setattr(self, name, value)

    def _checked(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return the traits that ``options`` are, when all of them can be set."""
        return {(trait := TRAITS.get(name, name)): self._check(trait, value) for name, value in options.items()}

    def _check(self, name: str, value: Any) -> Any:  # noqa: ANN401 - an option of any type
        """Return the value that the trait gets."""
        if name == "system":
            return system_text(value)
        if name == "n_ctx":
            return build(LoadOptions, {name: value}, where="the load options", error=ParameterError).n_ctx
        if name not in OPTIONS:
            msg = f"{name!r} is not a setting."
            raise ParameterError(msg, known(name, SETTINGS))
        option = OPTIONS[name]
        return self._chat.settings.changed({option: value}).value(option)

    @traitlets.validate(*SETTINGS)
    def _check_trait(self, proposal: Any) -> Any:  # noqa: ANN401 - a traitlets Bunch
        try:
            return self._check(proposal.trait.name, proposal.value)
        except ParameterError as error:
            kind = _KeptError if isinstance(error, LockedError) else _RefusedError
            raise kind(error.message, error.hint) from error

    @traitlets.observe("system", *OPTIONS)
    def _set_option(self, change: Any) -> None:  # noqa: ANN401 - a traitlets Bunch
        self._chat.configure(**{OPTIONS.get(change.name, change.name): change.new})
