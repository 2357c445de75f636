"""Whether a model and its context fit into memory, known before llama.cpp is asked to put them there."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ..errors import InsufficientMemoryError
from . import native, system
from .buffers import Needs, mapped, measured
from .parameters import check, sequences
from .simulation import Simulation
from .system import size

if TYPE_CHECKING:
    from ..options import LoadOptions

__all__ = ["MOST_AUTO", "Needs", "Plan", "Room", "Verdict", "mapped", "measured", "needs", "plan"]

MOST_AUTO = 8192
"""Tokens of the largest context that is made without being asked for."""
_LEAST_AUTO = 512
_STEP = 256  # llama.cpp rounds contexts up to multiples of this
_MIB = 1024 * 1024
_TIGHT = 0.8
"""Of the memory that is free: what takes more of it leaves little to the notebook's own data."""

Verdict = Literal["fits", "tight", "too big"]


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
        Bytes that are free now, if not what ``system.free_memory`` and the GPUs say.

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
    room = Room.now(freed, freed_gpu, free=free, free_gpu=free_gpu)
    with Simulation(path, options) as model:
        n_seq_max = sequences(options, model.facts.keeps_state)
        sizes = (options.n_ctx,) if options.n_ctx != "auto" else _sizes(model.facts.n_ctx_train)
        for index, n_ctx in enumerate(sizes):
            needs, layers = _place(model, options, n_ctx, n_seq_max, room)
            fits = room.holds(needs)
            if fits or (n_ctx == sizes[-1] and not options.check_memory):
                return Plan(n_ctx, n_seq_max, layers, needs, room.host, sizes[index + 1 :])
        raise _insufficient(path, needs, room, n_ctx, _largest(model, options, n_ctx, n_seq_max, room))


def needs(path: Path, options: LoadOptions, n_ctx: int, room: Room) -> Needs:
    """Return what a model and a context of ``n_ctx`` tokens would take; errors are those of ``plan``."""
    check(options)
    with Simulation(path, options) as model:
        return _place(model, options, n_ctx, sequences(options, model.facts.keeps_state), room)[0]


def _sizes(n_ctx_train: int) -> tuple[int, ...]:
    """Return the sizes that "auto" tries, the largest first: 8,192, 6,144, 4,096 ... 768, 512."""
    most = min(n_ctx_train or MOST_AUTO, MOST_AUTO)
    powers = [_LEAST_AUTO << shift for shift in range(MOST_AUTO.bit_length())]
    steps = sorted({*powers, *(power + power // 2 for power in powers)}, reverse=True)
    return (most, *(step for step in steps if step < most))


@dataclass(frozen=True)
class Room:
    """Bytes that may be taken, ``host`` and ``gpu``, and whether there is a GPU that ``shares`` those of the host."""

    host: int
    gpu: int
    shares: bool

    @classmethod
    def now(cls, freed: int = 0, freed_gpu: int = 0, *, free: int | None = None, free_gpu: int | None = None) -> Room:
        """Return what there is with what will be given back, less a margin; the arguments are those of ``plan``."""
        on_gpu, shares = native.gpu_memory()
        return cls(
            host=_less_margin((system.free_memory() if free is None else free) + freed),
            gpu=_less_margin((on_gpu if free_gpu is None else free_gpu) + freed_gpu),
            shares=shares,
        )

    def holds(self, needs: Needs) -> bool:
        """Return whether there is enough of both."""
        return needs.host <= self.host and needs.gpu <= max(0, self.gpu)

    def judge(self, needs: Needs) -> Verdict:
        """Return whether there is enough, and whether little would be left of it."""
        if not self.holds(needs):
            return "too big"
        return "tight" if needs.host > _TIGHT * self.host else "fits"


def _less_margin(free: int) -> int:
    """Keep something for what llama.cpp does not count, 20 to 60 MiB for a vocabulary, and for the notebook itself."""
    return free - free // 20 - 64 * _MIB


def _place(model: Simulation, options: LoadOptions, n_ctx: int, n_seq_max: int, room: Room) -> tuple[Needs, int]:
    return placed(model.needs(n_ctx, n_seq_max), model.facts.n_layer, options, room)


def placed(needs: Needs, n_layer: int, options: LoadOptions, room: Room) -> tuple[Needs, int]:
    """Return what is needed where, and how many layers the GPU gets: all are taken as equal in size."""
    needs = replace(needs, weights=needs.weights + _adapters(options))
    layers = n_layer + 1  # what follows the last one counts as one
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


def _largest(model: Simulation, options: LoadOptions, n_ctx: int, n_seq_max: int, room: Room) -> int:
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


def _insufficient(path: Path, needs: Needs, room: Room, n_ctx: int, largest: int) -> InsufficientMemoryError:
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
