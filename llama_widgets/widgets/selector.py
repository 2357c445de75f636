"""ModelSelector: the models on this machine, and the way to load one or fetch another."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import traitlets

from .. import protocol as p
from ..chat.classrooms import SET, current
from ..errors import ParameterError
from ..library import downloads, local
from ..library.references import model_text, parse
from ..options import LoadOptions
from ..requests import new_id
from ..wire import build
from ..worker import Worker, shared
from .base import Coalesced, aside
from .browsing import Browsing

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..library.job import Job
    from .messages.models import Choose, Refresh


class ModelName(traitlets.Unicode):  # type: ignore[type-arg]
    """A model as it is named in messages; takes whatever constructors take, such as an entry of ``lw.models()``."""

    def validate(self, obj: Any, value: Any) -> str:  # noqa: ANN401 - as traitlets declares it
        """Return the name."""
        return str(super().validate(obj, current().check_model(value)))


class ModelSelector(Browsing):
    """Choose a model, load it, fetch another.

    Parameters
    ----------
    value : str or path or Model, optional
        What is chosen at first.
    folder : str or path, optional
        One more folder to look for GGUF files in.
    worker : Worker, optional
        Who loads; by default the one that all conversations of this process share.

    Attributes
    ----------
    value : str
        The chosen model: a path or a reference, "" for none. Link it to ``ChatPanel.model``.
    models : list of dict
        What is on this machine.
    loaded : str
        The path of the model in memory, "" for none.
    loading : dict or None
        The load that is under way: ``request_id``, ``name``, ``done`` of ``total``.
    notices : list of str
        What the load of the model in memory warned of.
    locked : str
        Why no other model can be chosen, where the model is set for a class.
    """

    _arguments = frozenset({"value", "folder", "worker"})

    value = ModelName("", help="The chosen model: a path or a reference.").tag(sync=True)
    folder = traitlets.Unicode("", help="One more folder to look for GGUF files in.").tag(sync=True)
    models = traitlets.List(traitlets.Dict(), read_only=True, help="The models on this machine.").tag(sync=True)
    loaded = traitlets.Unicode("", read_only=True, help="The path of the model in memory.").tag(sync=True)
    loading = traitlets.Dict(
        default_value=None, allow_none=True, read_only=True, help="The load that is under way."
    ).tag(sync=True)
    notices = traitlets.List(traitlets.Unicode(), read_only=True, help="What the load warned of.").tag(sync=True)
    locked = traitlets.Unicode("", read_only=True, help="Why no other model can be chosen.").tag(sync=True)

    def __init__(
        self,
        value: object = None,
        *,
        folder: object = None,
        worker: Worker | None = None,
        **traits: Any,  # noqa: ANN401 - checked by the base
    ) -> None:
        room = current()
        super().__init__(value=room.model if value is None else value, folder=_folder_text(folder), **traits)
        if "model" in room.locked:
            self.show(locked=f"The model: {SET[0].lower()}{SET[1:]}")
        self._own_worker = worker
        self._load_callbacks: list[Callable[[str], None]] = []
        self._options_of: Callable[[str], LoadOptions] = lambda _: LoadOptions()
        self._draw_model = Coalesced(self._show_model)
        self._draw_models = Coalesced(self._show_models)
        self._at_close.append(self.worker.watch(lambda _: self._draw_model()))
        self._draw_model()
        self.refresh()
        aside(self._recover)

    @property
    def worker(self) -> Worker:
        """Who loads."""
        return self._own_worker or shared()

    def refresh(self) -> None:
        """Look again what is on this machine."""
        self._draw_models()

    def load(self, model: object = None, **options: Any) -> str:  # noqa: ANN401 - checked against LoadOptions
        """Start to load ``model``, by default the chosen one, with ``LoadOptions``; return the request's id."""
        name = model_text(model) or self.value
        checked = build(LoadOptions, options, where="the load options", error=ParameterError)
        return self._submit_load(p.LoadModel(request_id=new_id(), model=name, options=checked))

    def unload(self) -> None:
        """Free the model in memory."""
        self._on_unload_model(p.UnloadModel(request_id=new_id()))

    def load_with(self, options: Callable[[str], LoadOptions]) -> None:
        """Ask ``options`` what to load a model with that is picked in the page."""
        self._options_of = options

    def on_load(self, callback: Callable[[str], None]) -> None:
        """Call ``callback`` with the model's name each time one was loaded from here."""
        self._load_callbacks.append(callback)

    @traitlets.observe("folder")
    def _folder_changed(self, _change: object) -> None:
        if self._publisher is not None:  # not while the constructor runs, which looks itself
            self.refresh()

    def _show_models(self) -> None:
        models = local.models(self.folder or None)
        self.show(models=[model.to_dict() for model in models])
        self._judge(models)

    def _show_model(self) -> None:
        before = self.loaded
        state = self.worker.model_state
        loading = {"request_id": state.loading, "name": state.model, "done": state.done, "total": state.total}
        loaded = state.loaded.path if state.loaded else ""
        self.show(loaded=loaded, loading=loading if state.loading else None, notices=list(state.warnings))
        if loaded != before:
            self._judge(self._listed)

    def _recover(self) -> None:
        """List the downloads that earlier kernels did not finish."""
        downloads.shared().recover(*filter(None, [self.folder]))

    def _jobs(self) -> list[Job]:
        return [job for job in super()._jobs() if not job.ended or job.state == "failed"]

    def _changed(self, job: Job) -> None:
        super()._changed(job)
        if job.state == "done":
            self.refresh()

    def _submit_load(self, command: p.LoadModel) -> str:
        self.show(error=None)
        self.value = command.model
        self.worker.submit(replace(command, model=self.value), self._hear)
        return command.request_id

    def _hear(self, event: p.Event) -> None:
        if isinstance(event, p.Error):
            self.fail(event)
        elif isinstance(event, p.ModelLoaded) and not event.cancelled:
            for callback in self._load_callbacks:
                callback(event.model)

    def _hear_download(self, event: p.Event) -> None:
        listed = any(
            job.error is not None and job.error.message == getattr(event, "message", "") for job in self._jobs()
        )
        if not listed:  # a download that failed on its way tells so itself, beside its Resume button
            self._hear(event)

    def _on_choose(self, message: Choose) -> None:
        self.show(error=None)
        self.value = message.model

    def _on_refresh(self, message: Refresh) -> None:
        def look() -> None:
            if message.folder is not None and message.folder != self.folder:
                self.folder = message.folder
            else:
                self.refresh()

        aside(look)

    def _on_load_model(self, message: p.LoadModel) -> None:
        self._submit_load(replace(message, options=self._options_of(message.model)))

    def _on_unload_model(self, message: p.UnloadModel) -> None:
        self.show(error=None)
        self.worker.submit(message, self._hear)

    def _on_download_model(self, message: p.DownloadModel) -> None:
        # The browser cannot see that there is such a file.
        if not message.model.startswith((".", "/", "~")) and parse(message.model).path is not None:
            self._on_load_model(p.LoadModel(request_id=message.request_id, model=message.model))
            return
        self.show(error=None)
        self.worker.submit(message, self._hear_download)

    def _on_abort(self, message: p.Abort) -> None:
        if not self.worker.abort(message.target):
            super()._on_abort(message)


def _folder_text(folder: object) -> str:
    if folder is None:
        return ""
    if isinstance(folder, (str, os.PathLike)):
        return os.fsdecode(folder)
    msg = f"A folder must be a path, not {type(folder).__name__}."
    raise ParameterError(msg, "For example folder='~/models'.")
