"""Chat cells: ``%%llama``, ``%llama`` and ``%llama_fix``, in notebooks and in IPython's terminal."""

from __future__ import annotations

from .magics import chat, load

__all__ = ["chat", "load"]
