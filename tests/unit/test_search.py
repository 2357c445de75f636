"""Looking for models on the hub, and at them: the real huggingface_hub, in a process of its own, asks the local hub."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import gguf
import psutil
import pytest

import llama_widgets as lw
from llama_widgets.errors import (
    GatedModelError,
    HubError,
    InvalidModelError,
    NetworkError,
    ParameterError,
    UnknownReferenceError,
)
from llama_widgets.library import enquiry
from llama_widgets.library.references import parse
from tests.engine import tiny
from tests.unit.conftest import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.hub import Hub

REPO = "maker/Qwen3-4B-GGUF"
FACTS = {
    "downloads": 1200,
    "likes": 34,
    "tags": ["gguf", "license:apache-2.0", "region:us"],
    "lastModified": "2025-05-09T12:00:00.000Z",
    "gguf": {"total": 4_022_468_096, "architecture": "qwen3", "context_length": 40_960, "chat_template": "{{ x }}"},
}


@pytest.fixture(scope="module")
def quantisations(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("models")
    kinds = {"Q4_K_M": gguf.GGMLQuantizationType.Q4_0, "Q8_0": gguf.GGMLQuantizationType.Q8_0}
    size: dict[str, Any] = {"width": 2048, "layers": 16, "feed_forward": 8192, "n_vocab": 128_256}
    return {name: tiny.write(folder / f"{name}.gguf", hollow=True, dtype=kind, **size) for name, kind in kinds.items()}


@pytest.fixture
def shelf(hub: Hub, quantisations: dict[str, Path]) -> Hub:
    """Return a hub with a model in two quantisations."""
    for name, path in quantisations.items():
        hub.files[f"{REPO}/Qwen3-4B-{name}.gguf"] = path
        hub.hashes[f"{REPO}/Qwen3-4B-{name}.gguf"] = name[1] * 64  # hashing a file of holes takes seconds
    hub.facts[REPO] = FACTS
    return hub


@pytest.fixture(autouse=True)
def _ended() -> Iterator[None]:
    yield
    enquiry.shared().close()


def test_models_by_name(shelf: Hub) -> None:
    shelf.facts["user/repo"] = {"downloads": 5000, "tags": ["gguf"]}
    shelf.facts["user/plain"] = {"tags": ["safetensors"]}
    assert [found.model for found in lw.search("user/")] == ["hf:user/repo", "hf:user/parts"]
    (found,) = lw.search("  4b\tQWEN3 ")
    assert found == lw.HubModel(
        model=f"hf:{REPO}",
        licence="apache-2.0",
        architecture="qwen3",
        downloads=1200,
        likes=34,
        n_params=4_022_468_096,
        n_ctx_train=40_960,
        updated=1_746_792_000.0,
    )
    assert len(lw.search("r", limit=1)) == 1
    assert lw.search("nothing is called like this") == []
    assert not shelf.asked("GET", "agent-harnesses")  # its telemetry


def test_without_words_the_suggested_ones(shelf: Hub) -> None:
    suggested = lw.search()
    assert 5 <= len(suggested) <= 12
    for model in suggested:
        assert parse(model.model).repo
        assert all((model.good_at, model.licence, model.n_params))
    assert [model.n_params for model in suggested[:-1]] == sorted(model.n_params for model in suggested[:-1])
    assert not shelf.requests


@pytest.mark.parametrize("wrong", [{"text": 3}, {"text": "x" * 1000}, {"limit": 0}, {"limit": 10**6}, {"limit": "9"}])
def test_what_cannot_be_searched_for(wrong: dict[str, object]) -> None:
    with pytest.raises(ParameterError):
        lw.search(**wrong)  # type: ignore[arg-type] # that is the point


def test_the_same_is_not_asked_twice(shelf: Hub) -> None:
    lw.search("qwen3")
    lw.search(" qwen3 ")
    assert len(shelf.asked("GET", "/api/models?")) == 1
    for _ in range(2):
        shelf.fail(500, 9, where="/api/models")
        with pytest.raises(HubError):
            lw.search("other")
    shelf.faults.clear()
    assert lw.search("other") == []  # a failure is not remembered


def test_who_gives_up_does_not_give_up_for_others(shelf: Hub) -> None:
    del shelf
    first, second = (enquiry.shared().search("qwen3", 5) for _ in range(2))
    assert first.cancel()
    assert [facts["repo"] for facts in second.result(30)] == [REPO]


def test_no_network_and_offline_mode(shelf: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(NetworkError, match="offline mode"):
        lw.search("qwen3")
    monkeypatch.delenv("HF_HUB_OFFLINE")
    assert lw.search("qwen3")  # the environment may change at any time
    shelf.close()
    with pytest.raises(NetworkError, match="cannot be reached"):
        lw.search("qwen3 again")


def test_a_process_that_dies_fails_what_it_was_asked_and_the_next_question_starts_another(shelf: Hub) -> None:
    shelf.answering.clear()
    answer = enquiry.shared().search("qwen3", 5)
    enquiry.shared().close()
    with pytest.raises(HubError, match="ended by itself"):
        answer.result(30)
    shelf.answering.set()
    assert lw.search("qwen3")


def test_the_process_ends_with_the_kernel(shelf: Hub) -> None:
    del shelf
    code = (
        "import os, psutil, llama_widgets as lw\nlw.search('qwen3')\n"
        "print(psutil.Process().children()[0].pid, flush=True)\nos._exit(1)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    until(lambda: not psutil.pid_exists(int(done.stdout)), "the end of the process")


def test_what_a_model_on_the_hub_is(shelf: Hub) -> None:
    info = lw.info(f"hf:{REPO}")
    assert (info.model, info.path, info.architecture, info.quantisation) == (f"hf:{REPO}", "", "llama", "Q4_K_M")
    assert (info.licence, info.template, info.n_params) == ("apache-2.0", "{{ x }}", 4_022_468_096)
    assert (info.n_layer, info.n_vocab, info.n_ctx_train, info.tokenizer) == (16, 128_256, tiny.N_CTX_TRAIN, "gpt2")
    assert (info.downloads, info.likes, info.gated) == (1200, 34, False)
    assert [(file.model, file.quantisation) for file in info.files] == [
        (f"hf:{REPO}/Qwen3-4B-Q4_K_M.gguf", "Q4_K_M"),
        (f"hf:{REPO}/Qwen3-4B-Q8_0.gguf", "Q8_0"),
    ]
    assert info.size == info.files[0].size == shelf.size(f"{REPO}/Qwen3-4B-Q4_K_M.gguf")
    assert lw.info(f"hf:{REPO}:q8_0").size == info.files[1].size


def test_what_a_model_here_is(tmp_path: Path) -> None:
    path = tiny.write(tmp_path / "m-F32.gguf", template="{{ messages }}", layers=2)
    info = lw.info(path)
    assert (info.model, info.path, info.architecture, info.quantisation) == (str(path), str(path), "llama", "F32")
    assert (info.template, info.n_layer, info.size) == ("{{ messages }}", 2, path.stat().st_size)
    assert 4 * info.n_params == pytest.approx(info.size, rel=0.1)
    path.write_bytes(b"GGUF" + bytes(100))
    with pytest.raises(InvalidModelError):
        lw.info(path)


def test_whether_a_remote_model_fits_costs_a_part_of_a_megabyte(shelf: Hub) -> None:
    estimate = lw.estimate(f"hf:{REPO}", n_ctx=4096)
    assert (estimate.model, estimate.n_ctx, estimate.verdict) == (f"hf:{REPO}", 4096, "fits")
    assert estimate.weights == shelf.size(f"{REPO}/Qwen3-4B-Q4_K_M.gguf")
    assert estimate.cache == 4096 * 16 * 2 * 2048 * 2
    assert estimate.total < estimate.free
    assert str(estimate).startswith("fits: ")
    sent = sum(request.sent for request in shelf.requests)
    assert 2**16 <= sent < 10**6
    assert lw.estimate(f"hf:{REPO}").n_ctx == tiny.N_CTX_TRAIN
    with pytest.raises(ParameterError):
        lw.estimate(f"hf:{REPO}", n_ctx=-1)


def test_one_estimate_for_a_file_before_and_after_its_download(shelf: Hub, quantisations: dict[str, Path]) -> None:
    there = lw.estimate(f"hf:{REPO}:Q8_0", n_ctx=8192, cache_type_k="q8_0", cache_type_v="q8_0")
    here = lw.estimate(quantisations["Q8_0"], n_ctx=8192, cache_type_k="q8_0", cache_type_v="q8_0")
    assert there.total == pytest.approx(here.total, rel=0.02)
    assert shelf.asked("GET", "/cdn/")


def test_a_gated_model_shows_its_files_and_says_how_to_get_access(shelf: Hub) -> None:
    shelf.gated[REPO] = 403
    info = lw.info(f"hf:{REPO}")
    assert info.gated
    assert len(info.files) == 2
    assert info.n_layer == 0
    with pytest.raises(GatedModelError, match="answered 403") as raised:
        lw.estimate(f"hf:{REPO}")
    assert "Three steps" in raised.value.hint
    assert lw.info(f"hf:{REPO}", token="hf_good").n_layer == 16
    del shelf.gated[REPO]  # access was given: nobody waits for that longer than for the hub's answer
    assert lw.info(f"hf:{REPO}").n_layer == 16
    assert lw.estimate(f"hf:{REPO}", token="hf_good").verdict == "fits"


def test_a_file_at_an_address_of_its_own(shelf: Hub) -> None:
    address = f"{shelf.cdn}/cdn/{REPO}/Qwen3-4B-Q8_0.gguf"
    info = lw.info(address)
    assert (info.model, info.quantisation, info.n_layer) == (address, "Q8_0", 16)
    assert [file.model for file in info.files] == [address]
    assert lw.estimate(address).total == lw.estimate(f"hf:{REPO}:Q8_0").total
    shelf.fail(404, 9, where="/cdn/")
    with pytest.raises(UnknownReferenceError):
        lw.info(f"{shelf.cdn}/cdn/{REPO}/Qwen3-4B-Q4_K_M.gguf")


def test_what_is_nowhere(shelf: Hub) -> None:
    for model, message in (
        ("hf:user/none", "knows no model"),
        ("hf:user/plain", "no GGUF file"),
        (f"hf:{REPO}:Q2_K", "no quantisation"),
    ):
        with pytest.raises(UnknownReferenceError, match=message):
            lw.info(model)
    before = len(shelf.requests)
    with pytest.raises(lw.errors.ModelNotFoundError):
        lw.info("/no/such/file.gguf")
    assert len(shelf.requests) == before


@pytest.mark.parametrize(
    ("status", "token", "code", "words"),
    [
        (401, "hf_old", "gated", "does not accept the token"),
        (403, None, "hub", "cannot search"),
        (400, None, "hub", "cannot search"),
    ],
)
def test_a_search_that_is_refused(shelf: Hub, status: int, token: str | None, code: str, words: str) -> None:
    shelf.fail(status, 9, where="/api/models")
    with pytest.raises(lw.LlamaWidgetsError, match=words) as raised:
        lw.search("qwen3", token=token)
    assert raised.value.code == code
    assert raised.value.hint
    assert "hf_old" not in f"{raised.value.message}{raised.value.hint}"


def test_an_answer_of_something_else(shelf: Hub) -> None:
    shelf.fail(200, 9, where="/api/models")
    with pytest.raises(HubError, match="not one of a model hub"):
        lw.search("qwen3")


def test_a_token_stays_secret(shelf: Hub) -> None:
    shelf.gated[REPO] = 401
    shelf.fail(500, 9, where="/api/models")
    with pytest.raises(lw.LlamaWidgetsError) as raised:
        lw.search("qwen3", token="hf_secret")
    assert "hf_secret" not in f"{raised.value!r} {raised.value.hint}"
    (process,) = [child for child in psutil.Process().children() if "library.answering" in " ".join(child.cmdline())]
    assert "hf_secret" not in " ".join([*process.cmdline(), *process.environ().values()])
