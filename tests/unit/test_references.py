from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import pytest
from huggingface_hub import constants  # noqa: TID253 - it knows the addresses of the hub
from hypothesis import example, given
from hypothesis import strategies as st

from llama_widgets.errors import UnknownReferenceError
from llama_widgets.library.filenames import choose, describe, is_model, sets
from llama_widgets.library.references import Reference, parse

HOSTS = [*sorted(constants.HF_URL_HOSTS), urlsplit(constants.ENDPOINT).netloc]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("hf:user/repo", Reference(repo="user/repo")),
        (" user/repo-GGUF\n", Reference(repo="user/repo-GGUF")),
        ("hf:user/repo:Q4_K_M", Reference(repo="user/repo", quantisation="Q4_K_M")),
        ("user/repo:q8_0", Reference(repo="user/repo", quantisation="q8_0")),
        ("hf:user/repo/file.gguf", Reference(repo="user/repo", file="file.gguf")),
        ("hf:user/repo/a folder/file.Q4.gguf", Reference(repo="user/repo", file="a folder/file.Q4.gguf")),
        ("user/repo/folder/file.gguf", Reference(repo="user/repo", file="folder/file.gguf")),
        ("hf:user/repo@v1.0", Reference(repo="user/repo", revision="v1.0")),
        ("hf:user/repo:Q4_K_M@refs/pr/1", Reference(repo="user/repo", quantisation="Q4_K_M", revision="refs/pr/1")),
        ("hf:user/repo@main/file.gguf", Reference(repo="user/repo", file="file.gguf", revision="main")),
        ("hf://user/repo/file.gguf@main", Reference(repo="user/repo", file="file.gguf", revision="main")),
        ("/models/file.gguf", Reference(path=Path("/models/file.gguf"))),
        ("~/file.gguf", Reference(path=Path.home() / "file.gguf")),
        ("folder/file.gguf", Reference(path=Path.cwd() / "folder/file.gguf")),
        ("./user/repo", Reference(path=Path.cwd() / "user/repo")),
        ("../user/repo", Reference(path=Path.cwd().parent / "user/repo")),
    ],
)
def test_what_a_text_names(text: str, expected: Reference) -> None:
    assert parse(text) == expected


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("user/repo", Reference(repo="user/repo")),
        ("user/repo/?library=llama.cpp#files", Reference(repo="user/repo")),
        ("user/repo/tree/main", Reference(repo="user/repo")),
        ("user/repo/tree/v1.0/folder", Reference(repo="user/repo", revision="v1.0")),
        ("user/repo/discussions/1", Reference(repo="user/repo")),
        ("user/repo/blob/main/file.gguf", Reference(repo="user/repo", file="file.gguf")),
        ("user/repo/resolve/main/a%20b/c.gguf?download=true", Reference(repo="user/repo", file="a b/c.gguf")),
        (
            "user/repo/blob/refs%2Fpr%2F1/file.gguf",
            Reference(repo="user/repo", file="file.gguf", revision="refs/pr/1"),
        ),
    ],
)
@pytest.mark.parametrize("host", HOSTS)
def test_addresses_copied_from_a_browser(host: str, address: str, expected: Reference) -> None:
    assert parse(f"https://{host}/{address}") == expected
    assert parse(f" HTTPS://{host.upper()}/{address}\n") == expected


@pytest.mark.parametrize(
    ("address", "file"),
    [
        ("https://example.org/file.gguf", "file.gguf"),
        ("http://127.0.0.1:1/a%20b/c%20d.GGUF?key=1", "c d.GGUF"),
        ("https://[::1]/folder/..%2Fm.gguf", "m.gguf"),
    ],
)
def test_addresses_of_files_elsewhere(address: str, file: str) -> None:
    assert parse(f" {address}\n") == Reference(file=file, url=address)
    assert str(parse(address)) == address


def test_addresses_with_the_earliest_huggingface_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(constants, "HF_URL_HOSTS")
    assert parse(f"{constants.HUGGINGFACE_CO_URL_HOME}user/repo") == Reference(repo="user/repo")
    with pytest.raises(UnknownReferenceError):
        parse("https://example.org/user/repo")


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize(
    "path",
    ["", "user", "user/repo/blob/main/../../x.gguf", "user/repo/blob/..%2F..%2Fx/y.gguf", "us er/repo", "a/b%00"],
)
def test_addresses_that_name_no_model(host: str, path: str) -> None:
    for scheme in ("https", "file", "ftp"):
        with pytest.raises(UnknownReferenceError):
            parse(f"{scheme}://{host}/{path}")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "model",
        "https://[::1/user/repo",
        "hf:model",
        "hf:a/b/c.txt",
        "hf:user/repo@one:Q4@two",
        "hf:user/repo/../../file.gguf",
        "hf:user/repo@../../main",
        "hf:-user/repo",
        "https://example.org/",
        "https://example.org/file.txt",
        "https://example.org/a/..gguf",
        "https://example.org/.gguf",
        "https://user:password@example.org/file.gguf",
        "https:///file.gguf",
        "ftp://example.org/file.gguf",
        "file:///file.gguf",
        "\0",
        "\ud800",
        "x" * 100_000,
    ],
)
def test_what_is_no_reference(text: str) -> None:
    with pytest.raises(UnknownReferenceError) as raised:
        parse(text)
    assert "hf:user/repo" in raised.value.hint
    assert len(raised.value.message) < 200


def test_an_existing_path_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "user" / "repo").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert parse("user/repo") == Reference(path=tmp_path / "user/repo")
    assert parse("hf:user/repo") == Reference(repo="user/repo")


@given(
    st.one_of(
        st.text(),
        st.from_regex(r"(hf:)?[\w.-]+/[\w.-]+([:/@][\w.-]+)*(\.gguf)?", fullmatch=True),
        st.text().map(lambda path: f"https://{HOSTS[0]}/user/repo/{path}"),
        st.text().map(lambda path: f"https://example.org/{path}.gguf"),
    )
)
@example("hf:a/b/c.gguf@d")
def test_the_canonical_form_means_the_same(text: str) -> None:
    try:
        reference = parse(text)
    except UnknownReferenceError:
        return
    assert parse(str(reference)) == reference


@pytest.mark.parametrize(
    ("path", "name", "quantisation"),
    [
        ("SmolLM2-135M-Instruct.Q4_1.gguf", "SmolLM2-135M-Instruct", "Q4_1"),
        ("folder/Qwen3-8B-UD-Q4_K_XL.gguf", "Qwen3-8B", "UD-Q4_K_XL"),
        ("Llama-3.1-8B-Instruct-IQ3_XXS-00001-of-00002.gguf", "Llama-3.1-8B-Instruct", "IQ3_XXS"),
        ("phi-3-mini-4k-instruct-q4.gguf", "phi-3-mini-4k-instruct", "Q4"),
        ("gemma-3-270m-it-f16.gguf", "gemma-3-270m-it", "F16"),
        ("gpt-oss-20b-MXFP4.gguf", "gpt-oss-20b", "MXFP4"),
        ("Q8_0/model.gguf", "model", "Q8_0"),
        ("model.gguf", "model", ""),
        ("Q4_K_M.gguf", "Q4_K_M", "Q4_K_M"),
    ],
)
def test_what_a_file_name_says(path: str, name: str, quantisation: str) -> None:
    assert describe(path) == (name, quantisation)


def test_what_is_not_a_model() -> None:
    assert is_model("folder/Model.GGUF")
    for path in ("model.safetensors", "mmproj-model-f16.gguf", "imatrix.gguf", "model.imatrix.gguf", ".model.gguf"):
        assert not is_model(path)


def test_parts_make_one_model_and_incomplete_sets_none() -> None:
    whole = ("a-00001-of-00002.gguf", "a-00002-of-00002.gguf")
    assert sets(["single.gguf", *reversed(whole), "b-00001-of-00003.gguf", "b-00003-of-00003.gguf"]) == [
        whole,
        ("single.gguf",),
    ]


def test_which_model_of_a_repository_is_meant() -> None:
    models = sets(
        ["m-Q8_0.gguf", "m-Q4_K_M.gguf", "m-UD-Q2_K_XL.gguf", "x-00001-of-00002.gguf", "x-00002-of-00002.gguf"]
    )
    assert choose(models, None, None) == ("m-Q4_K_M.gguf",)
    assert choose(models, None, "q8_0") == ("m-Q8_0.gguf",)
    assert choose(models, None, "Q2_K_XL") == ("m-UD-Q2_K_XL.gguf",)
    assert choose(models, None, "Q3_K_M") is None
    assert choose(models, "x-00002-of-00002.gguf", None) == ("x-00001-of-00002.gguf", "x-00002-of-00002.gguf")
    assert choose(models, "nothing.gguf", None) is None
    assert choose(sets(["only-this.gguf"]), None, None) == ("only-this.gguf",)
    assert choose([], None, None) is None


def test_where_nothing_is_wished_the_best_that_fits() -> None:
    sizes = {
        "m-Q8_0.gguf": 80,
        "m-Q5_K_M.gguf": 50,
        "x-Q3_K_M-00001-of-00002.gguf": 20,
        "x-Q3_K_M-00002-of-00002.gguf": 15,
    }
    models = sets(sizes)
    assert choose(models, None, None, sizes=sizes, room=1000) == ("m-Q5_K_M.gguf",)
    assert choose(models, None, None, sizes=sizes, room=49) == tuple(sorted(sizes)[2:])
    assert choose(models, None, None, sizes=sizes, room=1) == tuple(sorted(sizes)[2:])
    assert choose(models, None, "Q8_0", sizes=sizes, room=1) == ("m-Q8_0.gguf",)
    assert choose(sets([*sizes, "m-Q4_K_M.gguf"]), None, None, sizes=sizes, room=1) == ("m-Q4_K_M.gguf",)
    assert choose(sets(["odd.gguf"]), None, None, sizes={"odd.gguf": 5}, room=1) == ("odd.gguf",)
