"""What llama.cpp allocates, as its log tells it: no function does."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_MIB = 1024 * 1024
_MODEL = re.compile(r"(\S+) +model buffer size = +([\d.]+) MiB")
_CACHE = re.compile(r"llama_kv_cache\w*: size = +([\d.]+) MiB")  # "KV buffer size" is 0 in a simulation
_STATE = re.compile(r"RS buffer size = +([\d.]+) MiB")
_OUTPUT = re.compile(r"output buffer size = +([\d.]+) MiB")
_COMPUTE = re.compile(r"compute buffer size = +([\d.]+) MiB")


@dataclass(frozen=True)
class Needs:
    """Memory in bytes.

    Attributes
    ----------
    weights : int
        For the model, with its adapters.
    cache : int
        For what is kept of the tokens that were read: keys and values, running states.
    compute : int
        For an evaluation and its results.
    gpu : int
        The part of all these that is on GPUs with memory of their own.
    mapped : int
        The part of the weights that is pages of a file, which the system counts as free while they are in use.
    """

    weights: int
    cache: int
    compute: int
    gpu: int = 0
    mapped: int = 0

    @property
    def total(self) -> int:
        """All of it."""
        return self.weights + self.cache + self.compute

    @property
    def host(self) -> int:
        """What is not on a GPU."""
        return self.total - self.gpu

    @property
    def private(self) -> int:
        """What the system counts as free again when it is given back."""
        return self.host - self.mapped


def measured(lines: Iterable[tuple[int, str]], weights: int) -> Needs | None:
    """Return what the log of a context, real or simulated, and of its model say; None if they do not say it.

    Parameters
    ----------
    lines : iterable of (int, str)
        What ``native.log.capture`` collected while both were made, or the context alone.
    weights : int
        Bytes of the model, as ``llama_model_size`` has them.
    """
    lines = list(lines)
    if not _sum(_COMPUTE, lines):
        return None
    return Needs(
        weights,
        cache=_sum(_CACHE, lines) + _sum(_STATE, lines),
        compute=_sum(_OUTPUT, lines) + _sum(_COMPUTE, lines),
        mapped=mapped(lines, weights),
    )


def mapped(lines: Iterable[tuple[int, str]], weights: int) -> int:
    """Return how many bytes of a model are pages of its file, by the log of its load.

    Of a mapped model too some are copied, into an order that computes faster. Pages that are locked do not count, and
    on systems other than Linux none do: there they are not free while they are in use.
    """
    lines = list(lines)
    locked = any("mlock)" in line for _, line in lines) and not any("failed to mlock" in line for _, line in lines)
    buffers = [match for _, line in lines if (match := _MODEL.search(line))]
    if locked or not sys.platform.startswith("linux") or not any(match[1].endswith("_Mapped") for match in buffers):
        return 0
    copied = sum(_bytes(match[2]) for match in buffers if not match[1].endswith("_Mapped"))
    return max(0, weights - copied)


def _sum(pattern: re.Pattern[str], lines: Iterable[tuple[int, str]]) -> int:
    return sum(_bytes(match[1]) for _, line in lines if (match := pattern.search(line)))


def _bytes(mebibytes: str) -> int:
    return round(float(mebibytes) * _MIB)
