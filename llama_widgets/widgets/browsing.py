"""What a model selector does beside choosing: search, look, judge, tidy; none of it on the caller's thread."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import traitlets

from ..errors import LlamaWidgetsError
from ..library import enquiry, house, search
from ..options import LoadOptions
from ..requests import error_event
from .base import Coalesced, aside
from .download import Downloading
from .messages.models import Deleted, Found, Looked

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from .. import protocol as p
    from ..engines.memory import Room
    from ..library.local import Model
    from ..wire import Message
    from ..worker import Worker
    from .messages.models import DeleteLeftovers, DeleteModel, Look, Search


class Browsing(Downloading):
    """A widget in which models are searched, looked at, judged and deleted.

    Attributes
    ----------
    fits : dict
        Whether each of the listed models fits: ``verdict``, ``total`` bytes at ``n_ctx`` tokens. What cannot be judged
        is missing.
    free : int
        Bytes that a model may take.
    leftovers : dict
        What other programs left unfinished: its ``count`` and its ``size`` in bytes.
    """

    fits = traitlets.Dict(read_only=True, help="Whether each model fits.").tag(sync=True)
    free = traitlets.Int(0, read_only=True, help="Bytes that a model may take.").tag(sync=True)
    leftovers = traitlets.Dict(read_only=True, help="What other programs left unfinished.").tag(sync=True)

    folder: str

    def __init__(self, **traits: Any) -> None:  # noqa: ANN401 - checked by the base
        self._listed: list[Model] = []
        self._searches: dict[str, Future[Any]] = {}
        self._draw_fits = Coalesced(self._show_fits)
        super().__init__(**traits)

    @property
    def worker(self) -> Worker:
        """Who loads."""
        raise NotImplementedError

    def refresh(self) -> None:
        """Look again what is on this machine."""
        raise NotImplementedError

    def _judge(self, models: list[Model]) -> None:
        """Say of these models whether they fit, after a while."""
        self._listed = models
        aside(self._draw_fits)

    def _room(self) -> Room:
        from ..engines.memory import Room  # brings llama.cpp

        return Room.now(*self.worker.status().freed)

    def _show_fits(self) -> None:
        from ..library import judge

        room, fits = self._room(), {}
        for model in self._listed:
            try:
                estimate = judge.judge(judge.here(model.model, Path(model.path)), LoadOptions(), room)
            except (LlamaWidgetsError, OSError):  # loading it will say why
                continue
            fits[model.model] = _fit(estimate)
        left = house.leftovers()
        size = sum(leftover.size for leftover in left)
        self.show(fits=fits, free=max(0, room.host), leftovers={"count": len(left), "size": size})

    # What views ask

    def _on_search(self, message: Search) -> None:
        if not message.text.strip():
            self._tell_found(message.request_id, search.suggested())
            return
        answer = enquiry.shared().search(" ".join(message.text.split()), search.LIMIT)
        self._searches[message.request_id] = answer
        answer.add_done_callback(partial(self._searched, message.request_id))

    def _searched(self, request_id: str, answer: Future[Any]) -> None:
        self._searches.pop(request_id, None)
        if answer.cancelled():
            return
        try:
            self._tell_found(request_id, search.found(answer.result()))
        except Exception as error:  # noqa: BLE001 - told to who asked
            self.publish(error_event(request_id, error))

    def _tell_found(self, request_id: str, models: list[search.HubModel]) -> None:
        self.publish(Found(request_id=request_id, models=[model.to_dict() for model in models]))

    def _on_look(self, message: Look) -> None:
        self._answer(message, self._look)

    def _look(self, message: Look) -> Looked:
        from ..library import judge

        subject, room = judge.look(message.model, message.token), self._room()
        info, estimates, refusal = judge.described(subject).to_dict(), [], None
        try:
            estimates = [estimate.to_dict() for estimate in judge.contexts(subject, LoadOptions(), room)]
            for file in info["files"]:
                file["fit"] = _fit(judge.judge(subject, LoadOptions(), room, size=file["size"]))
        except LlamaWidgetsError as error:
            refusal = {"code": error.code, "message": error.message, "hint": error.hint}
        return Looked(request_id=message.request_id, info=info, estimates=estimates, refusal=refusal)

    def _on_delete_model(self, message: DeleteModel) -> None:
        self._answer(message, self._delete)

    def _delete(self, message: DeleteModel) -> Deleted:
        freed = house.delete(message.model, folder=self.folder or None, dry_run=message.dry_run)
        if not message.dry_run:
            self.refresh()
        return Deleted(request_id=message.request_id, freed=freed, dry_run=message.dry_run)

    def _on_delete_leftovers(self, message: DeleteLeftovers) -> None:
        self._answer(message, self._delete_leftovers)

    def _delete_leftovers(self, message: DeleteLeftovers) -> Deleted:
        """Delete as many as possible, and raise why one of them stays."""
        freed, failure = 0, None
        for leftover in house.leftovers():
            try:
                freed += house.delete(leftover)
            except LlamaWidgetsError as error:
                failure = error
        self._draw_fits()
        if failure is not None:
            raise failure
        return Deleted(request_id=message.request_id, freed=freed)

    def _on_abort(self, message: p.Abort) -> None:
        if (searched := self._searches.get(message.target)) is not None:
            searched.cancel()
        else:
            super()._on_abort(message)

    def _answer(self, message: Any, answer: Callable[[Any], Message]) -> None:  # noqa: ANN401 - one of ``messages``
        """Answer a view aside, and tell it alone if that fails."""

        def do() -> None:
            try:
                reply = answer(message)
            except Exception as error:  # noqa: BLE001 - told to who asked
                self.publish(error_event(message.request_id, error))
            else:
                self.publish(reply)

        aside(do)


def _fit(estimate: Any) -> dict[str, Any]:  # noqa: ANN401 - an Estimate, which is imported late
    return {"verdict": estimate.verdict, "total": estimate.total, "n_ctx": estimate.n_ctx}
