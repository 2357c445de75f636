"""What each command does with the engine and the one model in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import protocol as p
from .errors import EngineError, NoModelError, ProtocolError
from .options import LoadOptions
from .requests import aborted

if TYPE_CHECKING:
    from collections.abc import Callable

    from .cancel import Cancel
    from .engines.base import Engine
    from .resident import Resident

    Hear = Callable[[p.Event], None]
    _Evaluating = p.Generate | p.Embed | p.Predict | p.Judge


class Execution:
    """Carries out commands, one after the other, on the worker's thread.

    Parameters
    ----------
    make_engine : callable
        Makes the engine when the first command needs it.
    resident : Resident
        The model in it.
    """

    def __init__(self, make_engine: Callable[[], Engine] | None, resident: Resident) -> None:
        self._make_engine = make_engine or _llama_engine
        self._resident = resident
        self.engine: Engine | None = None

    @property
    def active(self) -> bool:
        """Whether answers are being made."""
        return self.engine is not None and self.engine.active

    def joins(self, command: p.Command) -> bool:
        """Return whether ``command`` can be done while answers are being made."""
        if isinstance(command, p.CountTokens):
            return True
        if not isinstance(command, (p.GenerateCompletion, p.GenerateChatCompletion)):
            return False
        return command.model is None or self._resident.holds(command.model, command.load)

    def begin(self, command: p.Command, hear: Hear, cancel: Cancel) -> p.Event | None:
        """Do what was asked; return its end, or None if ``hear`` gets that with the steps of the engine."""
        engine = self.started()
        match command:
            case p.Init():
                if command.protocol != p.VERSION:
                    msg = f"This is protocol version {p.VERSION}, not {command.protocol}."
                    raise ProtocolError(msg, "Use the same version of llama-widgets on both sides.")
                return p.Info(request_id=command.request_id, message="ready", data=engine.init(command.options))
            case p.LoadModel():
                return self._resident.load(engine, command, hear, cancel)
            case p.UnloadModel():
                self.unload()
                return p.Info(request_id=command.request_id, message="unloaded")
            case p.CreateContext():
                data = self._resident.create_context(engine, command.options, cancel)
                return p.Info(request_id=command.request_id, message="context ready", data=data)
            case p.CountTokens():
                return self._count(engine, command)
            case p.Embed() | p.Predict() | p.Judge() | p.GenerateCompletion() | p.GenerateChatCompletion():
                return self._with_model(command, hear, cancel) or self._evaluate(engine, command, hear, cancel)
        msg = f"The worker has no way to run {command.type!r}."
        raise ProtocolError(msg)

    def started(self) -> Engine:
        """Return the engine, which is made now if it was not needed before."""
        if self.engine is None:
            self.engine = self._make_engine()
        return self.engine

    def unload(self) -> None:
        """Free the model."""
        self._resident.unload(self.started())

    def close(self) -> None:
        """Free everything."""
        if self.engine is not None:
            self.engine.close()
            self._resident.forget()

    def _count(self, engine: Engine, command: p.CountTokens) -> p.Event:
        self._resident.need()
        if command.model is not None and not self._resident.holds(command.model):
            msg = f"{command.model} is not the model in memory."
            raise NoModelError(msg, "Load it first.")
        return p.Info(request_id=command.request_id, data={"tokens": engine.count_tokens(command.texts)})

    def _evaluate(self, engine: Engine, command: _Evaluating, hear: Hear, cancel: Cancel) -> p.Event | None:
        match command:
            case p.Embed():
                return engine.embed(command, cancel)
            case p.Predict():
                return engine.predict(command, cancel)
            case p.Judge():
                return engine.judge(command, hear, cancel)
            case p.GenerateCompletion() | p.GenerateChatCompletion():
                engine.submit(command, hear, cancel)
        return None

    def _with_model(self, command: _Evaluating, hear: Hear, cancel: Cancel) -> p.Event | None:
        """Load the model that ``command`` names, if it is not there; return the end if that was stopped.

        Loading belongs to the same request: between two of them, somebody else could load another model.
        """
        if command.model is not None and not self._resident.holds(command.model, command.load):
            options = command.load or LoadOptions()
            load = p.LoadModel(request_id=command.request_id, model=command.model, options=options)
            loaded = self._resident.load(self.started(), load, hear, cancel)
            if loaded.cancelled:
                return aborted(command)
            hear(loaded)
        self._resident.need()
        return None


def _llama_engine() -> Engine:
    try:
        from .engines.llama import LlamaEngine
    except (ImportError, OSError, RuntimeError) as error:
        msg = f"llama-cpp-python cannot be used: {error}"
        raise EngineError(msg, "Install it again; the README says how.") from error
    return LlamaEngine()
