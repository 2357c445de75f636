"""What a model needs is known before it is loaded, to the percent, and what does not fit is refused in time."""

# ruff: noqa: ANN401 - options of every type pass through

from __future__ import annotations

import dataclasses
import os
from typing import TYPE_CHECKING, Any, Literal

import gguf
import llama_cpp  # noqa: TID253 - as the module under test
import pytest

from llama_widgets.engines import memory, native, simulation, system
from llama_widgets.engines.parameters import context_params, model_params, most_read
from llama_widgets.errors import ContextError, InsufficientMemoryError, InvalidModelError, ParameterError
from llama_widgets.options import LoadOptions

from . import tiny

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MB = 1_000_000
MIB = 1024 * 1024


@pytest.fixture(autouse=True)
def forgetful() -> Iterator[None]:
    """Let no test profit from what another has found out."""
    native.start()
    yield
    simulation._facts.clear()
    simulation._needs.clear()


def allocated(path: Path, n_ctx: int, n_seq_max: int, options: LoadOptions) -> memory.Needs:
    """Load a model for real and return what llama.cpp says it allocated: sizes of buffers, not of what they hold."""
    with native.log.capture() as lines:
        model = llama_cpp.llama_model_load_from_file(os.fsencode(path), model_params(options, 0))
        assert model is not None
        context = llama_cpp.llama_init_from_model(model, context_params(options, n_ctx=n_ctx, n_seq_max=n_seq_max))
        assert context is not None
    size = llama_cpp.llama_model_size(model)
    llama_cpp.llama_free(context)
    llama_cpp.llama_model_free(model)
    log = "\n".join(line for _, line in lines)
    found: dict[str, float] = {"KV": 0, "RS": 0, "output": 0, "compute": 0}
    for kind in found:
        for line in log.splitlines():
            if f" {kind} buffer size = " in line:
                found[kind] += float(line.split("=")[1].split()[0]) * MIB
    return memory.Needs(size, round(found["KV"] + found["RS"]), round(found["output"] + found["compute"]))


# The numbers are llama.cpp's


@pytest.mark.parametrize(
    ("n_ctx", "options"),
    [
        (512, {}),
        (1000, {"n_batch": 64}),  # rounded up to 1,024
        (4096, {"cache_type_k": "q8_0", "cache_type_v": "q4_0"}),
        (2048, {"flash_attn": False, "n_seq_max": 1}),
        (512, {"n_seq_max": 64}),
        (4096, {"use_mmap": False}),
    ],
)
def test_the_plan_for_the_demo_model_is_what_is_allocated(
    demo_model: Path, n_ctx: int, options: dict[str, Any]
) -> None:
    wanted = LoadOptions(n_ctx=n_ctx, **options)
    plan = memory.plan(demo_model, wanted)
    real = allocated(demo_model, n_ctx, plan.n_seq_max, wanted)
    assert plan.n_ctx == n_ctx
    assert plan.needs.weights == real.weights
    assert plan.needs.cache == pytest.approx(real.cache, rel=0.001)
    assert plan.needs.compute == pytest.approx(real.compute, rel=0.02)


@pytest.mark.parametrize("swa_full", [True, False])
@pytest.mark.parametrize("arch", ["llama", "qwen2", "gemma2", "mamba", "lfm2"])
@pytest.mark.parametrize("n_seq_max", [1, 4, 16])
def test_other_kinds_of_models_are_planned_as_exactly(
    tmp_path: Path, arch: str, swa_full: bool, n_seq_max: int
) -> None:
    path = tiny.write(tmp_path / "m.gguf", arch, width=128, layers=4)
    options = LoadOptions(n_ctx=2048, swa_full=swa_full, n_seq_max=n_seq_max)
    plan, real = memory.plan(path, options), allocated(path, 2048, n_seq_max, options)
    assert plan.needs.total == pytest.approx(real.total, rel=0.02)
    assert plan.needs.cache == pytest.approx(real.cache, rel=0.02, abs=0.02 * MIB)  # the log has two decimals


def test_a_sliding_window_and_smaller_types_need_less(tmp_path: Path) -> None:
    path = tiny.write(tmp_path / "m.gguf", "gemma2", width=128, layers=4)
    full = memory.plan(path, LoadOptions(n_ctx=8192)).needs.cache
    window = memory.plan(path, LoadOptions(n_ctx=8192, swa_full=False)).needs.cache
    small = memory.plan(path, LoadOptions(n_ctx=8192, cache_type_k="q8_0", cache_type_v="q8_0")).needs.cache
    assert window < 0.7 * full
    assert small == pytest.approx(full * 17 / 32, rel=0.01)  # 32 numbers in 34 bytes instead of 64


def test_large_contexts_and_many_sequences_are_extrapolated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tiny.write(tmp_path / "m.gguf", "lfm2", width=128, layers=4)
    options = LoadOptions(n_ctx=8192, n_seq_max=64)
    exact = memory.plan(path, options).needs
    simulation._needs.clear()
    monkeypatch.setattr(simulation, "_MOST_CELLS", 4096)
    monkeypatch.setattr(simulation, "_MOST_BYTES", 64 * 1024)
    assert memory.plan(path, options).needs.total == pytest.approx(exact.total, rel=0.1)


def test_sixteen_million_tokens_are_refused_without_taking_them(demo_model: Path) -> None:
    before = system.resident()
    with pytest.raises(InsufficientMemoryError, match=r"needs 39\d\.\d GB with an n_ctx of 16,777,216"):
        memory.plan(demo_model, LoadOptions(n_ctx=16_777_216), free=2000 * MB)
    assert system.resident() - before < 100 * MB


def test_a_model_is_simulated_without_its_vocabulary_and_its_weights(demo_model: Path) -> None:
    with simulation.Simulation(demo_model, LoadOptions()) as model:
        assert model.facts.n_vocab == 49_152
        assert model.facts.n_ctx_train == 8192
        vocab = llama_cpp.llama_model_get_vocab(model._loaded)
        assert vocab is not None
        assert llama_cpp.llama_vocab_type(vocab) == llama_cpp.LLAMA_VOCAB_TYPE_NONE


def test_adapters_count(tmp_path: Path) -> None:
    path = tiny.write(tmp_path / "m.gguf")
    adapter = tmp_path / "a.gguf"
    adapter.write_bytes(bytes(5 * MB))
    alone = memory.plan(path, LoadOptions()).needs.weights
    lora: list[str | dict[str, Any]] = [
        str(adapter),
        {"path": str(adapter), "scale": 0.5},
        str(tmp_path / "missing"),
        "~nobody/a",
        {},
    ]
    assert memory.plan(path, LoadOptions(lora=lora)).needs.weights == alone + 10 * MB


def test_a_changed_file_is_looked_at_again(tmp_path: Path) -> None:
    path = tiny.write(tmp_path / "m.gguf")
    small = memory.plan(path, LoadOptions()).needs.weights
    tiny.write(path, width=64)
    assert memory.plan(path, LoadOptions()).needs.weights > 2 * small


def test_what_was_asked_before_is_known(demo_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = memory.plan(demo_model, LoadOptions())
    monkeypatch.setattr(simulation, "_load", None)
    assert memory.plan(demo_model, LoadOptions(n_threads=1)).needs == first.needs


def test_without_the_expected_log_there_is_an_estimate(demo_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = LoadOptions(n_ctx=2048)
    exact = memory.plan(demo_model, options).needs
    simulation._needs.clear()
    monkeypatch.setattr(simulation, "measured", lambda _lines, _weights: None)
    estimate = memory.plan(demo_model, options).needs
    assert estimate.weights == exact.weights
    assert estimate.cache == exact.cache
    assert exact.compute / 2 < estimate.compute < 2 * exact.compute


def test_a_simulation_does_not_log(demo_model: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "llama_widgets")
    memory.plan(demo_model, LoadOptions())
    assert caplog.records == []


# What fits


def test_auto_is_the_training_size_where_it_fits(tmp_path: Path, demo_model: Path) -> None:
    assert memory.plan(demo_model, LoadOptions(), free=2000 * MB).n_ctx == 8192
    assert memory.plan(tiny.write(tmp_path / "m.gguf", n_ctx_train=1000), LoadOptions()).n_ctx == 1000
    assert memory.plan(tiny.write(tmp_path / "m.gguf", n_ctx_train=300), LoadOptions()).n_ctx == 300
    assert memory.plan(tiny.write(tmp_path / "m.gguf", n_ctx_train=100_000), LoadOptions()).n_ctx == memory.MOST_AUTO


def test_auto_is_smaller_where_there_is_less(demo_model: Path) -> None:
    plans = [memory.plan(demo_model, LoadOptions(), free=free * MB) for free in (500, 400, 350, 300, 260, 240)]
    sizes = [plan.n_ctx for plan in plans]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] == 8192
    assert len(set(sizes)) > 3
    for plan in plans:
        assert plan.needs.total <= plan.free
        assert list(plan.smaller) == [
            size for size in (6144, 4096, 3072, 2048, 1536, 1024, 768, 512) if size < plan.n_ctx
        ]


def test_a_size_that_was_asked_for_is_not_changed(demo_model: Path) -> None:
    plan = memory.plan(demo_model, LoadOptions(n_ctx=3000), free=1000 * MB)
    assert plan.n_ctx == 3000
    assert plan.smaller == ()
    with pytest.raises(InsufficientMemoryError) as caught:
        memory.plan(demo_model, LoadOptions(n_ctx=30_000), free=400 * MB)
    message = caught.value.message
    assert "SmolLM2-135M-Instruct.Q4_1.gguf needs 8" in message
    assert "n_ctx of 30,000" in message
    assert "weights 96.6 MB" in message
    assert "312.9 MB of memory are free" in message  # less 64 MiB and a twentieth
    fitting = int(message.split("An n_ctx of ")[1].split(" would fit")[0].replace(",", ""))
    assert memory.plan(demo_model, LoadOptions(n_ctx=fitting), free=400 * MB).n_ctx == fitting
    with pytest.raises(InsufficientMemoryError):
        memory.plan(demo_model, LoadOptions(n_ctx=fitting + 512), free=400 * MB)
    assert "check_memory=False" in caught.value.hint


def test_nothing_fits(demo_model: Path) -> None:
    with pytest.raises(InsufficientMemoryError) as caught:
        memory.plan(demo_model, LoadOptions(), free=150 * MB)
    assert "with an n_ctx of 512" in caught.value.message
    assert "would fit" not in caught.value.message
    assert "smaller model" in caught.value.hint


def test_what_the_loaded_model_gives_back_counts(demo_model: Path) -> None:
    with pytest.raises(InsufficientMemoryError):
        memory.plan(demo_model, LoadOptions(), free=150 * MB)
    plan = memory.plan(demo_model, LoadOptions(), free=150 * MB, freed=350 * MB)
    assert plan.n_ctx == 8192


def test_the_check_can_be_left_out(demo_model: Path) -> None:
    plan = memory.plan(demo_model, LoadOptions(n_ctx=30_000, check_memory=False), free=150 * MB)
    assert plan.n_ctx == 30_000
    assert memory.plan(demo_model, LoadOptions(check_memory=False), free=300 * MB).n_ctx == 4096
    assert memory.plan(demo_model, LoadOptions(check_memory=False), free=0).n_ctx == 512


def test_running_states_get_fewer_sequences(tmp_path: Path) -> None:
    for arch, expected in (("llama", 16), ("mamba", 4), ("lfm2", 4)):
        path = tiny.write(tmp_path / "m.gguf", arch)
        assert memory.plan(path, LoadOptions()).n_seq_max == expected
        assert memory.plan(path, LoadOptions(n_seq_max=7)).n_seq_max == 7


def test_bad_options_and_files_are_refused(tmp_path: Path) -> None:
    path = tiny.write(tmp_path / "m.gguf")
    with pytest.raises(ParameterError, match="needs flash attention"):
        memory.plan(path, LoadOptions(flash_attn=False, cache_type_v="q8_0"))
    with pytest.raises(ContextError, match="block size 32"):  # its heads have 16 numbers
        memory.plan(path, LoadOptions(cache_type_k="q8_0"))
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(InvalidModelError, match="cut short or damaged"):
        memory.plan(path, LoadOptions())
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(InvalidModelError):
        memory.plan(path, LoadOptions())


def test_flags_of_the_options_reach_llama_cpp() -> None:
    params = model_params(LoadOptions(use_mmap=False), 3)
    assert (params.n_gpu_layers, params.load_mode) == (3, llama_cpp.LLAMA_LOAD_MODE_NONE)
    assert model_params(LoadOptions(use_mlock=True), 0).load_mode == llama_cpp.LLAMA_LOAD_MODE_MMAP_MLOCK
    context = context_params(LoadOptions(n_threads=3, n_threads_batch=5, n_batch=64), n_ctx=512, n_seq_max=2)
    assert (context.n_threads, context.n_threads_batch, context.n_batch, context.n_ubatch) == (3, 5, 64, 64)
    auto = context_params(LoadOptions(n_batch=2048), n_ctx=512, n_seq_max=2)
    assert (auto.n_threads, auto.n_threads_batch) == (native.default_threads(), native.physical_cores())
    assert (auto.kv_unified, auto.n_outputs_max) == (True, 2)


@pytest.mark.parametrize(
    ("gpu", "layers", "ubatch", "reads"),
    [(False, "auto", 256, [256, 256, 128, 64, 64]), (True, "auto", 512, [2048] * 5), (True, 0, 256, [256] * 2)],
)
def test_an_abort_need_not_wait_for_long_operations_of_a_cpu(
    monkeypatch: pytest.MonkeyPatch, gpu: bool, layers: int | Literal["auto"], ubatch: int, reads: list[int]
) -> None:
    monkeypatch.setattr(native, "has_gpu", lambda: gpu)
    options = LoadOptions(n_batch=2048, n_gpu_layers=layers)
    assert context_params(options, n_ctx=512, n_seq_max=2).n_ubatch == ubatch
    assert [most_read(options, position) for position in (0, 2048, 2049, 4097, 100_000)][: len(reads)] == reads
    assert most_read(LoadOptions(n_batch=16), 0) == 16


# What was allocated


def test_mapped_weights_are_not_given_back(tmp_path: Path) -> None:
    """Pages of files count as free while they are in use, but for the part that llama.cpp copies to compute faster."""
    path = tiny.write(tmp_path / "m.gguf", width=256, layers=2, dtype=gguf.GGMLQuantizationType.Q4_0)
    needs = {}
    for mapped in (True, False):
        with native.log.capture() as lines:
            model = llama_cpp.llama_model_load_from_file(
                os.fsencode(path), model_params(LoadOptions(use_mmap=mapped), 0)
            )
            context = llama_cpp.llama_init_from_model(model, context_params(LoadOptions(), n_ctx=512, n_seq_max=1))
        measured = memory.measured(lines, llama_cpp.llama_model_size(model))
        assert measured is not None
        needs[mapped] = measured
        llama_cpp.llama_free(context)
        llama_cpp.llama_model_free(model)
    assert needs[False].private == needs[False].total
    assert needs[True].total == needs[False].total
    assert 0 < needs[True].mapped < needs[True].weights
    assert needs[True].private == needs[True].total - needs[True].mapped


def test_locked_pages_are_not_free() -> None:
    lines = [
        (20, "load_tensors: loading model tensors, this can take a while... (load_mode = mmap+mlock)"),
        (20, "load_tensors:   CPU_Mapped model buffer size =     3.00 MiB"),
        (20, "load_tensors:   CPU_REPACK model buffer size =     1.00 MiB"),
    ]
    assert memory.mapped(lines, 4 * MIB) == 0
    assert memory.mapped([*lines, (30, "warning: failed to mlock 4096-byte buffer")], 4 * MIB) == 3 * MIB
    assert memory.mapped(lines[1:], 4 * MIB) == 3 * MIB
    assert memory.mapped([], 4 * MIB) == 0


def test_a_log_without_a_context_says_nothing() -> None:
    assert memory.measured([(20, "load_tensors: CPU model buffer size = 1.00 MiB")], MIB) is None


# Graphics cards, which are not here


def gpu_plan(path: Path, free_gpu: int, *, free: int = 4000, **options: Any) -> memory.Plan:
    return memory.plan(path, LoadOptions(**options), free=free * MB, free_gpu=free_gpu * MB)


def test_as_many_layers_as_fit_go_to_the_gpu(demo_model: Path) -> None:
    layers = [gpu_plan(demo_model, free).n_gpu_layers for free in (0, 150, 250, 350, 1000)]
    assert layers[0] == 0
    assert layers == sorted(layers)
    assert 0 < layers[2] < 31
    assert layers[4] == 31  # 30, and what follows them
    everything = gpu_plan(demo_model, 1000, free=100)  # too little without a GPU
    assert everything.needs.gpu == everything.needs.total
    assert everything.needs.host == everything.needs.private == 0
    part = gpu_plan(demo_model, 250)
    assert part.needs.gpu <= 250 * MB - 64 * MIB
    assert part.needs.host == part.needs.total - part.needs.gpu


def test_layers_that_were_asked_for_must_fit(demo_model: Path) -> None:
    assert gpu_plan(demo_model, 1000, n_gpu_layers=10).n_gpu_layers == 10
    with pytest.raises(InsufficientMemoryError, match="on the GPU for its") as caught:
        gpu_plan(demo_model, 150, n_gpu_layers=31)
    assert "fewer layers" in caught.value.hint
    assert memory.plan(demo_model, LoadOptions(n_gpu_layers=5), free_gpu=0).n_gpu_layers == 5  # llama.cpp ignores it


def test_a_gpu_that_shares_the_memory_takes_all(demo_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "gpu_memory", lambda: (0, True))
    plan = memory.plan(demo_model, LoadOptions())
    assert plan.n_gpu_layers == 31
    assert plan.needs.host == plan.needs.total


def test_the_memory_of_devices_is_added_up(monkeypatch: pytest.MonkeyPatch) -> None:
    def memory_of(device: int, free: Any, total: Any) -> None:
        free._obj.value, total._obj.value = 100 * device, 1000

    kinds = [0, 1, 1, 2]
    table = {"count": lambda: len(kinds), "get": lambda i: i, "type": lambda i: kinds[i], "memory": memory_of}
    monkeypatch.setattr(native, "_ggml", lambda: table)
    monkeypatch.setattr("sys.platform", "linux")
    assert native.gpu_memory() == (300, True)
    monkeypatch.setattr("sys.platform", "darwin")
    assert native.gpu_memory() == (0, True)
    monkeypatch.setattr(native, "_ggml", lambda: None)
    assert native.gpu_memory() == (0, False)


# What is free


class Machine:
    """The files in which Linux tells the limits of a process."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def write(self, name: str, text: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def v2(self, group: str, limit: str, used: int, files: int = 0) -> None:
        folder = f"sys/fs/cgroup/{group}"
        self.write(f"{folder}/memory.max", f"{limit}\n")
        self.write(f"{folder}/memory.current", f"{used}\n")
        self.write(f"{folder}/memory.stat", f"anon 5\nfile 999\ninactive_file {files}\nactive_file 7\nslab 3\n")

    @property
    def free(self) -> int:
        return system.free_memory(self.root)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_a_machine_without_limits(machine: Machine) -> None:
    everything = machine.free
    assert everything > 100 * MB
    machine.write("proc/self/cgroup", "0::/user.slice\nnonsense\n")
    machine.v2("user.slice", "max", 5)
    assert machine.free == pytest.approx(everything, rel=0.2)


def test_a_container_of_version_2(machine: Machine) -> None:
    machine.write("proc/self/cgroup", "0::/\n")  # a container sees its own group as the root
    machine.v2("", "50000000", 30_000_000, files=4_000_000)
    assert machine.free == 50_000_000 - 30_000_000 + 4_000_000 + 7


def test_the_tightest_group_around_the_process_counts(machine: Machine) -> None:
    machine.write("proc/self/cgroup", "0::/hub.slice/user-1.scope/kernel\n")
    machine.v2("hub.slice", "30000000", 1_000_000)
    machine.v2("hub.slice/user-1.scope", "20000000", 5_000_000)
    machine.v2("hub.slice/user-1.scope/kernel", "max", 4_000_000)
    assert machine.free == 20_000_000 - 5_000_000 + 7
    machine.v2("hub.slice", "10000000", 9_000_000)
    assert machine.free == 10_000_000 - 9_000_000 + 7
    machine.v2("hub.slice", "10000000", 12_000_000)
    assert machine.free == 0


@pytest.mark.parametrize("folder", ["memory", "memory/docker/abc"])  # seen from within the container, and from outside
def test_a_container_of_version_1(machine: Machine, folder: str) -> None:
    machine.write("proc/self/cgroup", "5:cpu,cpuacct:/docker/abc\n4:memory:/docker/abc\n0::/\n")
    machine.write("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n")
    machine.write(f"sys/fs/cgroup/{folder}/memory.limit_in_bytes", "50000000\n")
    machine.write(f"sys/fs/cgroup/{folder}/memory.usage_in_bytes", "30000000\n")
    stat = "inactive_file 1\ntotal_inactive_file 2000\ntotal_active_file 30\n"
    machine.write(f"sys/fs/cgroup/{folder}/memory.stat", stat)
    assert machine.free == 20_000_000 + 2030


def test_files_that_cannot_be_read_are_no_limit(machine: Machine) -> None:
    machine.write("proc/self/cgroup", "0::/a\n")
    machine.write("sys/fs/cgroup/a/memory.max", "123\n")
    machine.write("sys/fs/cgroup/a/memory.current", "what?\n")
    assert machine.free > 100 * MB


def test_this_process_occupies_memory() -> None:
    assert 10 * MB < system.resident() < system.free_memory() + system.resident()


def test_needs_are_plain_numbers() -> None:
    needs = memory.Needs(100, 20, 3, gpu=50, mapped=40)
    assert (needs.total, needs.host, needs.private) == (123, 73, 33)
    assert dataclasses.asdict(needs) == {"weights": 100, "cache": 20, "compute": 3, "gpu": 50, "mapped": 40}
