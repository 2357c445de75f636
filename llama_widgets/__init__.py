"""Chat with local models in a notebook: pick one, watch it download, ask, stop.

The public names are loaded when they are first used, so that ``import llama_widgets`` costs next to nothing and needs
neither llama.cpp nor the model hub.
"""

from __future__ import annotations

import importlib
import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from . import errors
    from .activity import Status
    from .chat.classrooms import Classroom, classroom
    from .chat.conversation import Chat
    from .chat.presets import presets
    from .chat.replaying import Replayed
    from .chat.reply import Reply
    from .chat.tools import Tool
    from .comparing.comparison import Comparison
    from .errors import LlamaWidgetsError
    from .filling import Filled, fill
    from .library.downloads import download, downloads
    from .library.house import Leftover, delete, leftovers
    from .library.job import Job
    from .library.judge import Estimate, ModelFile, ModelInfo, info
    from .library.local import Model, models
    from .library.search import HubModel, search
    from .shortcuts import complete, count_tokens, embed, estimate, status
    from .sweeping.sweep import Sweep, sweep
    from .tokens.judging import Judged, Judgement, judge
    from .tokens.predicting import Candidate, Prediction, predict
    from .tokens.rendering import Rendered, Span, render
    from .tokens.vocabulary import Token, detokenize, tokenize
    from .widgets.compare import Compare
    from .widgets.download import DownloadProgress
    from .widgets.panel import ChatPanel
    from .widgets.selector import ModelSelector
    from .widgets.sweep import SweepGrid
    from .widgets.tokens import TokenView
    from .worker import Worker

__version__ = "0.1.0"

# Else logging's last resort prints warnings to stderr, which is whatever cell ran last.
logging.getLogger(__name__).addHandler(logging.NullHandler())

_HOMES = {
    "Candidate": ".tokens.predicting",
    "Chat": ".chat.conversation",
    "ChatPanel": ".widgets.panel",
    "Classroom": ".chat.classrooms",
    "Compare": ".widgets.compare",
    "Comparison": ".comparing.comparison",
    "DownloadProgress": ".widgets.download",
    "Estimate": ".library.judge",
    "Filled": ".filling",
    "HubModel": ".library.search",
    "Job": ".library.job",
    "Judged": ".tokens.judging",
    "Judgement": ".tokens.judging",
    "Leftover": ".library.house",
    "LlamaWidgetsError": ".errors",
    "Model": ".library.local",
    "ModelFile": ".library.judge",
    "ModelInfo": ".library.judge",
    "ModelSelector": ".widgets.selector",
    "Prediction": ".tokens.predicting",
    "Rendered": ".tokens.rendering",
    "Replayed": ".chat.replaying",
    "Reply": ".chat.reply",
    "Span": ".tokens.rendering",
    "Status": ".activity",
    "Sweep": ".sweeping.sweep",
    "SweepGrid": ".widgets.sweep",
    "Token": ".tokens.vocabulary",
    "TokenView": ".widgets.tokens",
    "Tool": ".chat.tools",
    "Worker": ".worker",
    "classroom": ".chat.classrooms",
    "complete": ".shortcuts",
    "count_tokens": ".shortcuts",
    "delete": ".library.house",
    "detokenize": ".tokens.vocabulary",
    "download": ".library.downloads",
    "downloads": ".library.downloads",
    "embed": ".shortcuts",
    "errors": "",
    "estimate": ".shortcuts",
    "fill": ".filling",
    "info": ".library.judge",
    "judge": ".tokens.judging",
    "leftovers": ".library.house",
    "models": ".library.local",
    "predict": ".tokens.predicting",
    "presets": ".chat.presets",
    "render": ".tokens.rendering",
    "search": ".library.search",
    "status": ".shortcuts",
    "sweep": ".sweeping.sweep",
    "tokenize": ".tokens.vocabulary",
}

__all__ = [
    "Candidate",
    "Chat",
    "ChatPanel",
    "Classroom",
    "Compare",
    "Comparison",
    "DownloadProgress",
    "Estimate",
    "Filled",
    "HubModel",
    "Job",
    "Judged",
    "Judgement",
    "Leftover",
    "LlamaWidgetsError",
    "Model",
    "ModelFile",
    "ModelInfo",
    "ModelSelector",
    "Prediction",
    "Rendered",
    "Replayed",
    "Reply",
    "Span",
    "Status",
    "Sweep",
    "SweepGrid",
    "Token",
    "TokenView",
    "Tool",
    "Worker",
    "__version__",
    "classroom",
    "complete",
    "count_tokens",
    "delete",
    "detokenize",
    "download",
    "downloads",
    "embed",
    "errors",
    "estimate",
    "fill",
    "info",
    "judge",
    "leftovers",
    "models",
    "predict",
    "presets",
    "render",
    "search",
    "status",
    "sweep",
    "tokenize",
]


def load_ipython_extension(ipython: InteractiveShell) -> None:
    """Give IPython the magics ``%%llama``, ``%llama`` and ``%llama_fix``: ``%load_ext llama_widgets``."""
    from .cells import load

    load(ipython)


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    if name == "errors":
        return importlib.import_module(".errors", __name__)
    value = getattr(importlib.import_module(_HOMES[name], __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
