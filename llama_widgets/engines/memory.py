"""Whether a model and its context fit into memory, known before llama.cpp is asked to put them there."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from ..errors import InsufficientMemoryError
from . import native
from .buffers import Needs, mapped, measured
from .parameters import check, sequences
from .simulation import Simulation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..options import LoadOptions

__all__ = ["MOST_AUTO", "Needs", "Plan", "free_memory", "mapped", "measured", "plan", "resident", "size"]

MOST_AUTO = 8192
"""Tokens of the largest context that is made without being asked for."""
_LEAST_AUTO = 512
_STEP = 256  # llama.cpp rounds contexts up to multiples of this
_MIB = 1024 * 1024


@dataclass(frozen=True)
class Plan:
    """What can be loaded.

    Attributes
    ----------
    n_ctx : int
        Tokens of the context; as asked for, unless that was "auto".
    n_seq_max : int
        Conversations of the context.
    n_gpu_layers : int
        Layers for the GPU.
    needs : Needs
        Bytes that this takes.
    free : int
        Bytes that it may take: what is free, and what will be given back first, less a margin.
    smaller : tuple of int
        Other sizes of the context to try, one after the other, if llama.cpp cannot make the first after all. Empty
        where the size was asked for.
    """

    n_ctx: int
    n_seq_max: int
    n_gpu_layers: int
    needs: Needs
    free: int
    smaller: tuple[int, ...]


def plan(
    path: Path,
    options: LoadOptions,
    *,
    freed: int = 0,
    freed_gpu: int = 0,
    free: int | None = None,
    free_gpu: int | None = None,
) -> Plan:
    """Return what of ``options`` fits, with numbers for all that is "auto".

    This takes some 20 to 60 ms, since the header of the file is read, and nothing where the same was asked before. No
    weights are read. All weights count as needed, whether mapped or not: pages of a file that do not fit would be read
    from the disk again for each token.

    Parameters
    ----------
    path : Path
        The model; of a split one, its first part.
    options : LoadOptions
        What was asked for.
    freed, freed_gpu : int
        Bytes that will be given back first: ``Needs.private`` and ``Needs.gpu`` of the model that is loaded.
    free, free_gpu : int, optional
        Bytes that are free now, if not what ``free_memory`` and the GPUs say.

    Raises
    ------
    InsufficientMemoryError
        If it does not fit, with the numbers and what would; not where ``options.check_memory`` is False.
    ModelError
        If llama.cpp cannot load such a file or make such a context, with its own reason.
    ParameterError
        If options contradict each other.
    OSError
        If there is no such file; ``gguf.check`` says so in better words.
    """
    check(options)
    on_gpu, shares = native.gpu_memory()
    room = _Room(
        host=_less_margin((free_memory() if free is None else free) + freed),
        gpu=_less_margin((on_gpu if free_gpu is None else free_gpu) + freed_gpu),
        shares=shares,
    )
    with Simulation(path, options) as model:
        n_seq_max = sequences(options, model.facts.keeps_state)
        sizes = (options.n_ctx,) if options.n_ctx != "auto" else _sizes(model.facts.n_ctx_train)
        for index, n_ctx in enumerate(sizes):
            needs, layers = _place(model, options, n_ctx, n_seq_max, room)
            fits = room.holds(needs)
            if fits or (n_ctx == sizes[-1] and not options.check_memory):
                return Plan(n_ctx, n_seq_max, layers, needs, room.host, sizes[index + 1 :])
        raise _insufficient(path, needs, room, n_ctx, _largest(model, options, n_ctx, n_seq_max, room))


def _sizes(n_ctx_train: int) -> tuple[int, ...]:
    """Return the sizes that "auto" tries, the largest first: 8,192, 6,144, 4,096 ... 768, 512."""
    most = min(n_ctx_train or MOST_AUTO, MOST_AUTO)
    powers = [_LEAST_AUTO << shift for shift in range(MOST_AUTO.bit_length())]
    steps = sorted({*powers, *(power + power // 2 for power in powers)}, reverse=True)
    return (most, *(step for step in steps if step < most))


@dataclass(frozen=True)
class _Room:
    """Bytes that may be taken, and whether there is a GPU that takes them from the host."""

    host: int
    gpu: int
    shares: bool

    def holds(self, needs: Needs) -> bool:
        return needs.host <= self.host and needs.gpu <= max(0, self.gpu)


def _less_margin(free: int) -> int:
    """Keep something for what llama.cpp does not count, 20 to 60 MiB for a vocabulary, and for the notebook itself."""
    return free - free // 20 - 64 * _MIB


def _place(model: Simulation, options: LoadOptions, n_ctx: int, n_seq_max: int, room: _Room) -> tuple[Needs, int]:
    """Return what is needed where, and how many layers the GPU gets: all are taken as equal in size."""
    needs = model.needs(n_ctx, n_seq_max)
    needs = replace(needs, weights=needs.weights + _adapters(options))
    layers = model.facts.n_layer + 1  # what follows the last one counts as one
    asked = options.n_gpu_layers
    if room.gpu <= 0:  # there is none with memory of its own, or it is full
        return needs, (layers if room.shares else 0) if asked == "auto" else asked
    movable = needs.weights + needs.cache
    fitting = max(0, (room.gpu - needs.compute) * layers // movable)
    given = min(layers, fitting if asked == "auto" else asked)
    return replace(needs, gpu=movable * given // layers + (needs.compute if given else 0)), given


def _adapters(options: LoadOptions) -> int:
    """Return the bytes of the adapters; what cannot be read is not there, which is not for here to say."""
    total = 0
    for adapter in options.lora:
        try:
            total += Path(adapter["path"] if isinstance(adapter, dict) else adapter).expanduser().stat().st_size
        except (OSError, ValueError, KeyError, TypeError, RuntimeError):
            continue
    return total


def _largest(model: Simulation, options: LoadOptions, n_ctx: int, n_seq_max: int, room: _Room) -> int:
    """Return the largest context below ``n_ctx`` that fits, 0 if none does: memory grows along a line, or slower."""
    low, high = _LEAST_AUTO, n_ctx
    if high <= low:
        return 0
    least, most = (_place(model, options, size, n_seq_max, room)[0].host for size in (low, high))
    found = low + (room.host - least) * (high - low) // max(1, most - least)
    found = min(found, high - 1) // _STEP * _STEP
    while found >= low and not room.holds(_place(model, options, found, n_seq_max, room)[0]):
        found //= 2
    return found if found >= low else 0


def _insufficient(path: Path, needs: Needs, room: _Room, n_ctx: int, largest: int) -> InsufficientMemoryError:
    short_of_gpu = needs.gpu > max(0, room.gpu)
    parts = f"weights {size(needs.weights)}, cache {size(needs.cache)}, computing {size(needs.compute)}"
    msg = (
        f"{path.name} needs {size(needs.total)} with an n_ctx of {n_ctx:,} ({parts}), and {size(max(0, room.host))} "
        "of memory are free for it."
    )
    if short_of_gpu:
        msg = msg.removesuffix(".") + f", and {size(max(0, room.gpu))} on the GPU for its {size(needs.gpu)}."
    if largest:
        msg += f" An n_ctx of {largest:,} would fit."
    hints = ["Free memory", "choose a smaller model" if not largest else "choose a smaller n_ctx or model"]
    if short_of_gpu:
        hints.append("give fewer layers to the GPU")
    return InsufficientMemoryError(msg, f"{', '.join(hints)}, or try all the same with check_memory=False.")


def size(count: int) -> str:
    """Return a number of bytes as people write it."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"  # noqa: PLR2004 - a billion


# The system


def resident() -> int:
    """Return the bytes of memory that this process occupies."""
    return int(psutil.Process().memory_info().rss)


def free_memory(root: Path = Path("/")) -> int:
    """Return the bytes that this process may still use: of the machine, and of the container that it runs in.

    Parameters
    ----------
    root : Path
        Where ``proc`` and ``sys`` are.
    """
    available = int(psutil.virtual_memory().available)
    return min([available, *_cgroups(root)]) if sys.platform.startswith("linux") else available


def _cgroups(root: Path) -> Iterator[int]:
    """Yield what is left of the limit of each control group that this process is in, the outer ones too.

    Source: the kernel's admin-guide/cgroup-v2.rst and cgroup-v1/memory.rst. Pages of files count towards the limit,
    but are dropped when it is reached, unless they are written to.
    """
    try:
        lines = (root / "proc/self/cgroup").read_text("utf-8", "replace").splitlines()
    except OSError:
        return
    mounts = root / "sys/fs/cgroup"
    for line in lines:
        controllers, _, group = line.partition(":")[2].partition(":")
        if not controllers:
            yield from _limits(mounts, group, "memory.max", "memory.current", "")
        elif "memory" in controllers.split(","):
            yield from _limits(mounts / "memory", group, "memory.limit_in_bytes", "memory.usage_in_bytes", "total_")


def _limits(mount: Path, group: str, limit: str, usage: str, prefix: str) -> Iterator[int]:
    inner = mount / group.strip("/")
    # Within a container its own group is mounted as the root, whatever its name is outside.
    for folder in (inner, *inner.parents):
        try:
            most, used = (int((folder / name).read_text("ascii")) for name in (limit, usage))
            stat = dict(line.split() for line in (folder / "memory.stat").read_text("ascii").splitlines())
            files = sum(int(stat.get(f"{prefix}{kind}_file", 0)) for kind in ("inactive", "active"))
        except (OSError, ValueError):  # no such group here, no limit ("max")
            pass
        else:
            yield max(0, most - used + files)
        if folder == mount:
            return
