"""How an answer was made: enough to make it again, and to tell what is different where it comes out different."""

from __future__ import annotations

import os
import platform
import random
from copy import deepcopy
from dataclasses import asdict, fields, replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, cast

from .. import __version__
from .. import protocol as p
from ..library import fingerprint
from ..options import GenerationOptions, LoadOptions

if TYPE_CHECKING:
    from ..worker import Worker

_NO_PARAMETERS = {"type", "request_id", "messages", "prompt", "options", "model", "load", "conversation"}
"""What a command holds beside the parameters of the answer."""

_BINDINGS = ("llama_cpp_python", "llama_cpp")


class Provenance:
    """How one answer was made. What it was asked stands elsewhere: a conversation has that already.

    Parameters
    ----------
    facts : dict
        What ``Reply.made`` says beside the question.
    path : str
        The model's file; "" where that is not known.
    system : str or None
        The system prompt that the question was asked with.
    """

    def __init__(self, facts: dict[str, Any], *, path: str = "", system: str | None = None) -> None:
        self._facts = facts
        self._path = path
        self.system = system

    @classmethod
    def of(cls, command: p.Generate, worker: Worker) -> Provenance:
        """Return how the answer to ``command`` was made; to be asked when it has just ended, on the worker's thread."""
        loaded, load, about = worker.loaded, worker.load_options, worker.about
        facts: dict[str, Any] = {"model": command.model or (loaded.model if loaded else ""), "model_sha256": ""}
        if loaded is not None:
            facts |= {key: getattr(loaded, key) for key in ("quantisation", "template_sha256", "n_ctx")}
            fingerprint.soon(loaded.path)
        bindings: dict[str, str] = {name: about[name] for name in _BINDINGS if name in about}
        facts |= {
            "load": changed(load or LoadOptions()),
            "parameters": parameters(command),
            "versions": {"llama_widgets": __version__, **bindings, "python": platform.python_version()},
            "hardware": {
                "system": f"{platform.system()} {platform.machine()}",
                "processors": os.cpu_count(),
                "devices": [device["description"] or device["name"] for device in about.get("devices", ())],
            },
            "at": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        }
        messages = command.messages if isinstance(command, p.GenerateChatCompletion) else []
        system = messages[0]["content"] if messages and messages[0]["role"] == "system" else None
        return cls(facts, path=loaded.path if loaded else "", system=system)

    @classmethod
    def read(cls, made: dict[str, Any], system: str | None) -> Provenance:
        """Return what was kept as ``kept`` has it, where ``system`` was the prompt unless it says another one."""
        needed: dict[str, Any] = {"model": "", "model_sha256": "", "parameters": {}}
        wrong = {name for name, empty in needed.items() if not isinstance(made.get(name, empty), type(empty))}
        facts = {"system": system, **needed, **{name: value for name, value in made.items() if name not in wrong}}
        prompt = facts.pop("system")
        return cls(facts, system=prompt if isinstance(prompt, str) else None)

    def kept(self) -> dict[str, Any]:
        """Return the facts as they are kept with a turn, with the system prompt."""
        return {**self.known(), "system": self.system}

    def known(self) -> dict[str, Any]:
        """Return what is known at once: not the hash of the model's file, if that was never computed."""
        return {**self._facts, "model_sha256": self._facts["model_sha256"] or fingerprint.known(self._path)}

    def whole(self) -> dict[str, Any]:
        """Return all of it, which may take seconds where the model's file must be read for its hash."""
        # Of the file as it is now: one that is loaded is not written to, as that would change the answers too.
        self._facts["model_sha256"] = self._facts["model_sha256"] or fingerprint.of(self._path)
        return deepcopy(self._facts)


def run_noting(worker: Worker, command: p.Generate) -> tuple[p.CompletionDone, Provenance]:
    """Do as ``Worker.run`` does, and note how the answer was made at the moment when it was."""
    noted: list[Provenance] = []

    def hear(event: p.Event) -> None:
        if isinstance(event, p.CompletionDone):
            noted.append(Provenance.of(command, worker))

    done = cast("p.CompletionDone", worker.run(command, hear))
    return done, noted[0]


def seeded(options: GenerationOptions) -> GenerationOptions:
    """Return the options with a seed, so that the answer can be made again."""
    return options if options.seed is not None else replace(options, seed=random.getrandbits(31))


def parameters(command: p.Generate) -> dict[str, Any]:
    """Return what an answer is asked for with, as far as it is not the default: options, and what is beside them."""
    beside = {name: value for name, value in command.to_short_dict().items() if name not in _NO_PARAMETERS}
    return changed(command.options) | beside


def changed(options: GenerationOptions | LoadOptions) -> dict[str, Any]:
    """Return the options that are not the default."""
    usual, values = asdict(type(options)()), asdict(options)
    return {f.name: values[f.name] for f in fields(options) if values[f.name] != usual[f.name]}
