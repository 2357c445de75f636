"""DownloadProgress: what is being downloaded, with Pause, Resume and Cancel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import traitlets

from ..errors import ParameterError
from ..library import downloads
from ..library.job import Job
from .base import Coalesced, LlamaWidget, aside

if TYPE_CHECKING:
    from .. import protocol as p
    from .messages.models import Discard, Pause, Resume


class Downloading(LlamaWidget):
    """A widget that shows downloads and lets the reader pause, resume and cancel them.

    Attributes
    ----------
    downloads : list of dict
        The downloads as ``Job.to_dict`` makes them, in the order they began.
    """

    downloads = traitlets.List(traitlets.Dict(), read_only=True, help="The downloads, as plain data.").tag(sync=True)

    def __init__(self, job: object = None, **traits: Any) -> None:  # noqa: ANN401 - checked by the base
        super().__init__(**traits)
        if not isinstance(job, (Job, type(None))):
            msg = f"A download must be what lw.download() returned, not {type(job).__name__}."
            raise ParameterError(msg, 'For example lw.DownloadProgress(lw.download("hf:user/repo:Q4_K_M")).')
        self._job = job
        self._draw_downloads = Coalesced(lambda: self.show(downloads=[job.to_dict() for job in self._jobs()]))
        self._at_close.append(downloads.shared().watch(self._changed))
        self._draw_downloads()

    def _jobs(self) -> list[Job]:
        return downloads.shared().jobs if self._job is None else [self._job]

    def _changed(self, _job: Job) -> None:
        self._draw_downloads()

    def _on_pause(self, message: Pause) -> None:
        downloads.shared().pause(message.target)

    def _on_resume(self, message: Resume) -> None:
        downloads.shared().resume(message.target)

    def _on_discard(self, message: Discard) -> None:
        job = downloads.shared().job(message.target)
        if job is not None:
            aside(lambda: job.cancel(keep_partial=False))  # another process may work on it, which is waited for

    def _on_abort(self, message: p.Abort) -> None:
        downloads.shared().abort(message.target)


class DownloadProgress(Downloading):
    """Shows one download, or all of this kernel.

    Parameters
    ----------
    job : Job, optional
        What ``lw.download`` returned; by default every download, those that begin later too.

    Examples
    --------
    >>> lw.DownloadProgress(lw.download("hf:user/repo:Q4_K_M"))  # doctest: +SKIP
    """

    _arguments = frozenset({"job"})
