"""What a GGUF file name says: the model's name, its quantisation, and whether it is one part of several."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_QUANTISATION = re.compile(
    r"(?:^|[-._])"
    r"((?:UD-)?(?:I?Q\d(?:_(?:K|XXS|XS|XL|NL|S|M|L|\d))*|TQ\d_\d|MXFP4(?:_MOE)?|NVFP4|BF16|F(?:P)?(?:16|32)))"
    r"(?=$|[-._])",
    re.IGNORECASE,
)
_PART = re.compile(r"-(\d{5})-of-(\d{5})$")
_PREFERRED = (
    *("Q4_K_M", "Q4_K_S", "UD-Q4_K_XL", "Q4_K_L", "Q4_0", "Q4_1", "IQ4_NL", "IQ4_XS"),
    *("Q5_K_M", "Q5_K_S", "Q5_0", "Q5_1", "Q6_K", "Q8_0"),
    *("Q3_K_L", "Q3_K_M", "Q3_K_S", "Q2_K", "BF16", "F16", "F32"),
)
"""Which quantisation is taken where none is named: the best below 5 bits, else larger, else smaller."""


def describe(path: str) -> tuple[str, str]:
    """Return name and quantisation, as in ``("SmolLM2-135M-Instruct", "Q4_1")``; the latter may be ""."""
    file = PurePosixPath(path)
    stem = _PART.sub("", file.stem)
    found = list(_QUANTISATION.finditer(stem))
    if found:
        last = found[-1]
        return (stem[: last.start()] + stem[last.end() :] or stem), last[1].upper()
    # Repositories with several quantisations often give each a folder of its own.
    folder = _QUANTISATION.fullmatch(file.parent.name)
    return stem, folder[1].upper() if folder else ""


def is_model(path: str) -> bool:
    """Return whether this is a file that a model can be loaded from, and not what belongs to one."""
    stem, _, suffix = path.rpartition("/")[2].lower().rpartition(".")
    return (
        suffix == "gguf"
        and stem != ""
        and not stem.startswith((".", "imatrix"))
        and not stem.endswith("imatrix")
        and "mmproj" not in stem
    )


def sets(paths: Iterable[str]) -> list[tuple[str, ...]]:
    """Return the models among ``paths``, sorted, each as its files in order; sets with missing parts are left out."""
    models: dict[tuple[str, int], list[str]] = {}
    for path in sorted(paths):
        if is_model(path):
            part = _PART.search(path[: -len(".gguf")])
            key = (path[: part.start()], int(part[2])) if part else (path, 1)
            models.setdefault(key, []).append(path)
    return [tuple(files) for (_, count), files in models.items() if len(files) == count]


def parts(path: str) -> list[str]:
    """Return the paths of all parts of a model, of which ``path`` is one."""
    file = PurePosixPath(path)
    found = _PART.search(file.stem)
    if found is None:
        return [path]
    whole, count = file.stem[: found.start()], int(found[2])
    return [str(file.with_name(f"{whole}-{number:05}-of-{count:05}{file.suffix}")) for number in range(1, count + 1)]


def choose(
    models: list[tuple[str, ...]],
    file: str | None,
    quantisation: str | None,
    *,
    sizes: Mapping[str, int] | None = None,
    room: int = 0,
) -> tuple[str, ...] | None:
    """Return the files of the one model that is meant, or ``None`` if it is not among ``models``.

    A file names itself, and the whole set if it is part of one. Of several with the wished quantisation, the one with
    the shortest name is taken. Where nothing is wished, that is Q4_K_M; without one the best of which the ``sizes``, in
    bytes, have ``room``; where none has, the smallest.
    """
    if file is not None:
        return next((files for files in models if file in files), None)
    by_quantisation: dict[str, tuple[str, ...]] = {}
    for files in sorted(models, key=lambda files: (len(files[0]), files[0])):
        by_quantisation.setdefault(describe(files[0])[1], files)
    if quantisation is not None:
        wished = quantisation.upper()
        return by_quantisation.get(wished) or by_quantisation.get(f"UD-{wished}")
    ranked = [by_quantisation[name] for name in _PREFERRED if name in by_quantisation] or [*by_quantisation.values()]
    if not ranked or sizes is None or _PREFERRED[0] in by_quantisation:
        return ranked[0] if ranked else None
    bytes_of = {files: sum(sizes.get(part, 0) for part in files) for files in ranked}
    return next((files for files in ranked if bytes_of[files] <= room), min(ranked, key=bytes_of.__getitem__))
