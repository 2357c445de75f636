"""The one model in memory: which it is, how it was loaded, and who wants to know."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from . import protocol as p
from .errors import LlamaWidgetsError, NoModelError
from .library import local, usage
from .listeners import Listeners

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from .cancel import Cancel
    from .engines.base import Engine
    from .options import LoadOptions


@dataclass(frozen=True)
class ModelState:
    """What the engine holds, for everybody who shows it.

    ``loaded`` is the model in memory, with the ``warnings`` of its load; ``loading`` the request that is loading one,
    with its last ``progress``.
    """

    loaded: p.ModelLoaded | None = None
    loading: str = ""
    model: str = ""
    done: int = 0
    total: int = 1000
    warnings: tuple[str, ...] = ()


class Resident:
    """Loads and frees the model of an engine; all but ``state``, ``holds`` and ``watchers`` on the engine's thread.

    Parameters
    ----------
    find : callable
        Turns what names a model into a path.
    """

    def __init__(self, find: Callable[[str], Path]) -> None:
        self._find = find
        self._options: LoadOptions | None = None
        self._used = time.monotonic()
        self._loading = ""
        self.state = ModelState()
        self.watchers: Listeners[ModelState] = Listeners()
        usage.count_in(self)

    @property
    def options(self) -> LoadOptions | None:
        """What the model in memory was loaded with."""
        return self._options

    def paths(self) -> list[str]:
        """Return the files of the model in memory and of the one that is being loaded."""
        loaded = self.state.loaded
        return [path for path in (self._loading, loaded.path if loaded else "") if path]

    def holds(self, model: str, options: LoadOptions | None = None) -> bool:
        """Return whether ``model``, a path or reference, is in memory, loaded with ``options`` if they are given."""
        loaded = self.state.loaded
        if loaded is None or (options is not None and options != self._options):
            return False
        if model == loaded.model:
            return True
        try:
            return str(self._find(model)) == loaded.path
        except LlamaWidgetsError:
            return False

    def load(
        self, engine: Engine, command: p.LoadModel, emit: Callable[[p.Event], None], cancel: Cancel
    ) -> p.ModelLoaded:
        """Load what ``command`` names, if it is not what is there."""
        path = self._find(command.model)
        before = self.state
        if before.loaded is not None and before.loaded.path == str(path) and command.options == self._options:
            return replace(before.loaded, request_id=command.request_id, model=command.model)

        warnings: list[str] = []

        def show(event: p.Event) -> None:
            if isinstance(event, p.Info) and event.level == "warning":
                warnings.append(event.message)
            if isinstance(event, p.Progress):
                total = event.total or 1000
                self._show(ModelState(None, command.request_id, command.model, event.done, total))
            emit(event)

        self._loading = str(path)
        self._show(ModelState(None, command.request_id, command.model))
        try:
            loaded = engine.load(command, path, show, cancel)
        except BaseException:
            self._show(before if engine.loaded else ModelState())  # it may be refused before anything is freed
            raise
        finally:
            self._loading = ""
        # The name by which the library lists it: the one inside the file is often some training run's.
        loaded = replace(loaded, name=local.title(path))
        self._options = command.options
        self._show(ModelState() if loaded.cancelled else ModelState(loaded, warnings=tuple(warnings)))
        if not loaded.cancelled:
            usage.note(path)
        return loaded

    def create_context(self, engine: Engine, options: LoadOptions, cancel: Cancel) -> dict[str, Any]:
        """Make another context for the model in memory; return what the engine tells of it."""
        loaded = self.need()
        try:
            data = engine.create_context(options, cancel)
        finally:
            if not engine.loaded:
                self._show(ModelState())
        self._options = options
        self._show(ModelState(replace(loaded, **data), warnings=self.state.warnings))
        return data

    def unload(self, engine: Engine) -> None:
        """Free the model."""
        engine.unload()
        self.forget()

    def forget(self) -> None:
        """Know that the engine holds no model any more."""
        self._options = None
        self._show(ModelState())

    def need(self) -> p.ModelLoaded:
        """Return the model in memory, or raise ``NoModelError``."""
        if self.state.loaded is None:
            msg = "No model is loaded."
            raise NoModelError(msg, "Load one first, or name one.")
        return self.state.loaded

    def touch(self) -> None:
        """Note that somebody uses it."""
        self._used = time.monotonic()

    @property
    def spare_s(self) -> float | None:
        """Seconds until it may be freed because nobody uses it; None if it stays."""
        if self.state.loaded is None or self._options is None or self._options.unload_after is None:
            return None
        return max(0.0, self._used + self._options.unload_after - time.monotonic())

    def _show(self, state: ModelState) -> None:
        self.state = state
        self.watchers.tell(state)
