"""LoRA adapters: what they change, and that nothing but a fitting one is used."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import gguf
import llama_cpp  # noqa: TID253 - as the module under test
import numpy as np
import pytest

from llama_widgets.engines import native
from llama_widgets.engines.adapters import Adapters
from llama_widgets.engines.model import Model
from llama_widgets.engines.parameters import context_params, model_params
from llama_widgets.errors import AdapterError
from llama_widgets.options import LoadOptions

from . import tiny

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import numpy.typing as npt

RANK = 2
ATTENTION = "blk.0.attn_q.weight"


def pair(name: str = ATTENTION, rows: int = tiny.WIDTH, columns: int = tiny.WIDTH) -> dict[str, Any]:
    numbers = np.random.default_rng(1)
    shapes = {f"{name}.lora_a": (RANK, columns), f"{name}.lora_b": (rows, RANK)}
    return {key: numbers.normal(0, 0.5, shape).astype(np.float32) for key, shape in shapes.items()}


def write(
    path: Path,
    tensors: dict[str, Any],
    *,
    arch: str = "llama",
    kind: str = "adapter",
    adapter: str = "lora",
    more: Callable[[gguf.GGUFWriter], object] = lambda writer: writer.add_float32("adapter.lora.alpha", 4.0),
) -> Path:
    writer = gguf.GGUFWriter(path, arch)
    writer.add_type(kind)
    writer.add_string("adapter.type", adapter)
    more(writer)
    for name, data in tensors.items():
        writer.add_tensor(name, data)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def load(path: Path) -> Model:
    native.start()
    return Model(path, model_params(LoadOptions(), 0), lambda _: None)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Model]:
    model = load(tiny.write(tmp_path_factory.mktemp("models") / "m.gguf"))
    yield model
    model.close()


def logits(model: Model, *specs: str | dict[str, Any]) -> npt.NDArray[np.float32]:
    """Return what follows three tokens in a new context."""
    adapters = Adapters(model, specs)
    context = llama_cpp.llama_init_from_model(
        model.handle, context_params(LoadOptions(n_threads=1, n_threads_batch=1), n_ctx=256, n_seq_max=1)
    )
    assert context is not None
    try:
        adapters.attach(context)
        tokens = (llama_cpp.llama_token * 3)(1, 2, 3)
        assert llama_cpp.llama_decode(context, llama_cpp.llama_batch_get_one(tokens, 3)) == 0
        return np.ctypeslib.as_array(llama_cpp.llama_get_logits_ith(context, -1), (model.n_vocab,)).copy()
    finally:
        llama_cpp.llama_free(context)
        adapters.close()


# What they change


def test_an_adapter_is_added_to_the_weights(tmp_path: Path) -> None:
    """As if the product of its matrices, times alpha by rank, had been added to the model's own file."""
    path, tensors = tiny.write(tmp_path / "m.gguf"), pair()
    adapter = write(tmp_path / "a.gguf", tensors)
    model = load(path)
    plain, adapted = logits(model), logits(model, str(adapter))
    model.close()
    reader = gguf.GGUFReader(path, "r+")
    weights = next(tensor.data for tensor in reader.tensors if tensor.name == ATTENTION)
    weights += 4.0 / RANK * tensors[f"{ATTENTION}.lora_b"] @ tensors[f"{ATTENTION}.lora_a"]
    del weights, reader  # writes the file
    merged = load(path)
    assert np.abs(adapted - plain).max() > 0.1
    assert np.abs(adapted - logits(merged)).max() < 1e-4
    merged.close()


def test_scales(model: Model, tmp_path: Path) -> None:
    path = str(write(tmp_path / "a.gguf", pair()))
    plain, once = logits(model), logits(model, path)
    assert np.array_equal(logits(model, {"path": path, "scale": 0}), plain)
    assert np.array_equal(logits(model, {"path": path}), once)
    assert np.array_equal(logits(model, {"path": path, "scale": 1.0}), once)
    halves = logits(model, {"path": path, "scale": 0.5}, {"path": path, "scale": 0.5})
    assert np.abs(halves - once).max() < 1e-4
    assert np.abs(logits(model, {"path": path, "scale": -1}) - once).max() > 0.1


def test_no_adapters(model: Model) -> None:
    assert np.array_equal(logits(model), logits(model))
    adapters = Adapters(model, [])
    adapters.close()
    adapters.close()


def test_quantised_models_take_adapters_too(tmp_path: Path) -> None:
    model = load(tiny.write(tmp_path / "m.gguf", "qwen2", width=256, dtype=gguf.GGMLQuantizationType.Q4_0))
    adapter = write(tmp_path / "a.gguf", pair(rows=256, columns=256), arch="qwen2")
    assert np.abs(logits(model, str(adapter)) - logits(model)).max() > 0.01
    model.close()


def test_numbers_of_16_bits(model: Model, tmp_path: Path) -> None:
    small = {name: data.astype(np.float16) for name, data in pair().items()}
    difference = logits(model, str(write(tmp_path / "a.gguf", small))) - logits(
        model, str(write(tmp_path / "b.gguf", pair()))
    )
    assert np.abs(difference).max() < 0.05


# What is refused


def wrong_shape(path: Path) -> Path:
    return write(path, pair(columns=2 * tiny.WIDTH))


def half_a_pair(path: Path) -> Path:
    return write(path, {f"{ATTENTION}.lora_a": pair()[f"{ATTENTION}.lora_a"]})


def experts(path: Path) -> Path:
    return write(path, {name: np.stack([data] * 3) for name, data in pair().items()})


def whole_numbers(path: Path) -> Path:
    return write(path, {name: data.astype(np.int32) for name, data in pair().items()})


def embedding(path: Path) -> Path:
    name = "token_embd.weight"
    return write(
        path, {f"{name}.lora_a": np.ones((258, 2), np.float32), f"{name}.lora_b": np.ones((32, 3), np.float32)}
    )


BAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (lambda _: None, "There is no file"),
    "folder": (lambda path: path.mkdir(), "is a folder"),
    "empty": (lambda path: path.touch(), "is empty"),
    "not a GGUF": (lambda path: path.write_bytes(b"PK\3\4" * 20), "is not a GGUF file"),
    "cut in its header": (
        lambda path: path.write_bytes(write(path, pair()).read_bytes()[:100]),
        "cut short or damaged",
    ),
    "cut in its data": (
        lambda path: path.write_bytes(write(path, pair()).read_bytes()[:-100]),
        "llama.cpp cannot use a.gguf as an adapter",
    ),
    "a model": (tiny.write, "is not an adapter but a model"),
    "another kind": (lambda path: write(path, pair(), adapter="ia3"), "of type 'ia3', not a LoRA"),
    "for images": (lambda path: write(path, pair(), kind="mmproj"), "not an adapter but a mmproj"),
    "another architecture": (lambda path: write(path, pair(), arch="qwen2"), "of architecture 'qwen2'"),
    "another size": (wrong_shape, "has incorrect shape"),
    "a tensor that is not there": (
        lambda path: write(path, pair("blk.7.attn_q.weight")),
        "does not exist in base model",
    ),
    "other names": (lambda path: write(path, {"a": np.ones((2, 2), np.float32)}), "unexpected suffix"),
    "half a pair": (half_a_pair, "missing one component"),
    "no weights": (lambda path: write(path, {}), "holds a vocabulary only"),
    "experts": (experts, "has 3 matrices, not 1"),
    "whole numbers": (whole_numbers, "a type that cannot be added"),
    "embedding": (embedding, "changes the embedding"),
    "alpha of another type": (
        lambda path: write(path, pair(), more=lambda writer: writer.add_float64("adapter.lora.alpha", 4.0)),
        "an alpha of 4.0",
    ),
    "alpha that is no number": (
        lambda path: write(path, pair(), more=lambda writer: writer.add_float32("adapter.lora.alpha", float("nan"))),
        "an alpha of nan",
    ),
    "alignment of another type": (
        lambda path: write(path, pair(), more=lambda writer: writer.add_string("general.alignment", "x")),
        "an alignment of 'x'",
    ),
    "activated": (
        lambda path: write(path, pair(), more=lambda w: w.add_array("adapter.alora.invocation_tokens", [1, 2])),
        "activated LoRA",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_adapter_for_this_model_is_refused(model: Model, tmp_path: Path, name: str) -> None:
    make, message = BAD[name]
    path = tmp_path / "a.gguf"
    make(path)
    with pytest.raises(AdapterError, match=message) as caught:
        Adapters(model, [str(path)])
    assert caught.value.hint
    assert np.isfinite(logits(model)).all()


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"path": ""},
        {"path": 3},
        {"scale": 1.0},
        {"path": "a.gguf", "sacle": 1.0},
        {"path": "a.gguf", "scale": "1"},
        {"path": "a.gguf", "scale": None},
        {"path": "a.gguf", "scale": True},
        {"path": "a.gguf", "scale": float("nan")},
        {"path": "a.gguf", "scale": float("inf")},
        {"path": "a.gguf", "scale": 10**400},
        "",
        "~nobody/a.gguf",
        "a\0.gguf",
    ],
)
def test_bad_specifications(model: Model, spec: str | dict[str, Any]) -> None:
    with pytest.raises(AdapterError):
        Adapters(model, [spec])


def test_one_bad_adapter_frees_the_good_ones(model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    freed = []
    free = llama_cpp.llama_adapter_lora_free

    def count(handle: Any) -> None:  # noqa: ANN401 - a pointer
        freed.append(handle)
        free(handle)

    monkeypatch.setattr(llama_cpp, "llama_adapter_lora_free", count)
    good = str(write(tmp_path / "a.gguf", pair()))
    with pytest.raises(AdapterError):
        Adapters(model, [good, good, str(tmp_path / "missing.gguf")])
    assert len(freed) == 2


def test_damaged_adapters_do_not_end_the_process(tmp_path: Path) -> None:
    """llama.cpp checks some of what it reads with assertions; what would reach one must have been refused before."""
    path, good = tiny.write(tmp_path / "m.gguf"), write(tmp_path / "good.gguf", pair()).read_bytes()
    chance = random.Random(7)
    end_of_header = good.index(b".lora_b") + 50
    for number in range(300):
        data = bytearray(good)
        for _ in range(chance.choice((1, 1, 2))):
            data[chance.randrange(8, end_of_header)] = chance.choice((*range(13), 127, 255))
        (tmp_path / f"{number}.gguf").write_bytes(data)
    code = (
        "import sys; from pathlib import Path; from tests.engine import test_adapters as t\n"
        "model = t.load(Path(sys.argv[1])); used = refused = 0\n"
        "for number in range(300):\n"
        "    try: t.logits(model, str(Path(sys.argv[1]).with_name(f'{number}.gguf'))); used += 1\n"
        "    except t.AdapterError: refused += 1\n"
        "print(used, refused)"
    )
    environment = {**os.environ, "GGML_NO_BACKTRACE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    used, refused = map(int, done.stdout.split()[-2:])
    assert used > 0
    assert refused > 200
