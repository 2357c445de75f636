"""What of a message is filled, what stays as it was written, and how values look."""

from __future__ import annotations

import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import llama_widgets as lw
from llama_widgets.completing import completions
from llama_widgets.filling import parse

if TYPE_CHECKING:
    from pathlib import Path

NAMES: dict[str, Any] = {"x": 91, "name": "Ada", "d": {"}": 1, "a": {"b": 2}}, "pi": 3.14159, "many": list(range(5))}


@given(st.text(st.characters(exclude_characters="{}", codec="utf-8")))
def test_a_text_without_braces_is_unchanged(text: str) -> None:
    filled = lw.fill(text, NAMES)
    assert (filled, filled.inserts) == (text, ())


@given(st.text("{}x` \\\n\"'[]():!,.=a1$", max_size=40))
def test_any_text_is_filled_or_refused_with_a_clear_error(text: str) -> None:
    try:
        filled = lw.fill(text, NAMES)
    except lw.errors.FillError:
        pass
    else:
        assert "".join(filled[each.start : each.end] for each in filled.inserts) == "".join(
            part.value(NAMES) for part in parse(text) if not isinstance(part, str)
        )


@given(st.text("abc{}", max_size=12), st.text("abc ", max_size=5))
def test_doubled_braces_are_single_ones(inside: str, before: str) -> None:
    plain = inside.replace("{", "").replace("}", "")
    assert lw.fill(f"{before}{{{{{plain}}}}}", {}) == f"{before}{{{plain}}}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{x}", "91"),
        ("Is {x} prime?", "Is 91 prime?"),
        ("{x}{name}, {name}", "91Ada, Ada"),
        ("({name})", "(Ada)"),
        ("x={x}:{x}", "x=91:91"),
        ("{x // 7}", "13"),
        ("{pi:.2f} {x:>5} {x:,} {name!r} {name!r:>6} {x:05d} {x / 100:.0%}", "3.14    91 91 'Ada'  'Ada' 00091 91%"),
        ("{d['}']} {d['a']['b']} { {'k': x}['k'] }", "1 2 { {'k': x}['k'] }"),
        ("{dict(k={'x': x})['k']['x']}", "91"),
        ("{'yes' if x > 1 else 'no'} {x if x else {}}", "yes 91"),
        ("{(lambda y: y + 1)(x)} {[y for y in many if y > 2]}", "92 [3, 4]"),
        ("{{x}} {{{x}}} {{ }}", "{x} {91} { }"),
        ("{{", "{"),
        ("}} }", "}} }"),
    ],
)
def test_what_is_filled(text: str, expected: str) -> None:
    assert lw.fill(text, NAMES) == expected


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "{ }",
        "{2} {'a'} {1, 2}",
        '{"a": 1, "b": {"c": [x, 2]}}',
        '{"a": {"b": {"c": 1}}}',
        r"\frac{x}{y} x^{x} a_{x} $\sqrt{x}$",
        "${x} ${HOME} %{x} #{x} f{x} a[0]{x}",
        "body {color: red; margin: 0} a { x }",
        "function f() {\n  return x\n}",
        "`{x}` and ``{y} ` {z}``",
        "```python\nprint(f'{x}')\n```\n",
        "~~~\n{undefined}\n~~~",
        "```\n{x}",
        "{return x} {import os} {x = 1} {x y} {await x}",
        "{x",
        "x}",
        "{\nx}",
        "{not closed on\nthis line}",
    ],
)
def test_what_stays_as_it_was_written(text: str) -> None:
    assert lw.fill(text, NAMES) == text
    assert [part for part in parse(text) if not isinstance(part, str)] == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{nmae}", r"\{nmae\} cannot be filled in: there is no variable 'nmae'. Did you mean 'name'"),
        ("{lenn(name)}", "no variable 'lenn'. Did you mean 'len'"),
        ("{nope}", "no variable 'nope'. Run the cell that makes it"),  # and not 'open'
        ("{_name}", "no variable '_name'. Did you mean 'name'"),
        ("{table.describe()}", "no variable 'table'. Run the cell that makes it"),
        ("{x / 0}", "ZeroDivisionError: division by zero"),
        ("{x.nothing}", "AttributeError"),
        ("{name:d}", "ValueError"),
        ("{exit()}", "SystemExit|no variable"),
    ],
)
def test_what_fails_says_so_and_what_to_do(text: str, words: str) -> None:
    with pytest.raises(lw.errors.FillError, match=words) as error:
        lw.fill(f"Why? {text}", {**NAMES, "exit": sys.exit})
    assert "{{ }}" in error.value.hint


def test_what_was_put_in_is_remembered() -> None:
    filled = lw.fill("Is {x} {{so}}, {name}?", NAMES)
    assert isinstance(filled, str)
    assert filled == "Is 91 {so}, Ada?"
    assert filled.typed == "Is {x} {{so}}, {name}?"
    assert [(each.source, filled[each.start : each.end], each.kind) for each in filled.inserts] == [
        ("x", "91", "value"),
        ("name", "Ada", "value"),
    ]


def test_values_are_looked_up_and_nothing_is_left_behind() -> None:
    names = {"x": 1}
    assert lw.fill("{(y := x + 1) * y} {len('abc')}", names) == "4 3"
    assert names == {"x": 1}


def test_the_variables_of_a_script_are_the_default() -> None:
    script = "import llama_widgets as lw\nvalue = 7\nprint(lw.fill('{value}'))"
    assert subprocess.check_output([sys.executable, "-c", script], text=True).strip() == "7"


def test_only_what_was_typed_is_evaluated() -> None:
    names = {"evil": "{x}", "x": 91}
    assert lw.fill("{evil}", names, files=[("{x}.txt", "{x}")]) == "{x}\n\n{x}.txt:\n```txt\n{x}\n```"


def test_the_compiler_prints_nothing() -> None:
    script = "import llama_widgets as lw\nx = 1\nprint(lw.fill(r\"{x is 1} {len('\\d')}\"))"
    done = subprocess.run([sys.executable, "-W", "always", "-c", script], capture_output=True, text=True, check=True)
    assert (done.stdout.strip(), done.stderr) == ("True 2", "")


# Values


def frame(rows: int, columns: int = 2) -> pd.DataFrame:
    return pd.DataFrame({f"c{i}": [row * (i + 1) / 3 for row in range(rows)] for i in range(columns)})


def test_a_frame_is_a_markdown_table_on_its_own() -> None:
    table = pd.DataFrame({"a": [1, 2], "b|c": ["x\ny", None]}, index=["one", "two"])
    assert lw.fill("Which of {table} is larger?", {"table": table}) == (
        "Which of\n\n|  | a | b\\|c |\n| --- | --- | --- |\n| one | 1 | x y |\n| two | 2 | nan |\n\nis larger?"
    )


def test_a_long_and_wide_frame_is_cut_with_a_note() -> None:
    text = lw.fill("{df}", {"df": frame(1000, 30)})
    lines = text.splitlines()
    assert "(1,000 rows, 30 columns; left out: rows 11 to 990 and the last 10 columns)" in lines
    assert len([line for line in lines if line.startswith("|")]) == 2 + 20 + 1
    assert lines[-3].startswith("| 999 |")


def test_a_description_keeps_its_labels() -> None:
    text = lw.fill("{df.describe()}", {"df": frame(100)})
    assert "| mean | 16.5 | 33 |" in text
    assert "left out" not in text


def test_a_series_is_a_table_too() -> None:
    series = pd.Series([1.5, 2.0], index=["a", "b"], name="fare")
    assert lw.fill("{s}", {"s": series}) == "|  | fare |\n| --- | --- |\n| a | 1.5 |\n| b | 2 |"


@pytest.mark.parametrize("empty", [pd.DataFrame(), pd.DataFrame({"a": []}), pd.DataFrame(index=[1, 2])], ids=str)
def test_an_empty_frame_is_shown(empty: pd.DataFrame) -> None:
    assert "|" in lw.fill("{e}", {"e": empty})


def test_a_frame_with_levels_is_shown() -> None:
    grouped = pd.DataFrame({"k": [1, 1, 2], "v": [1, 2, 3]}).groupby("k").agg({"v": ["min", "max"]})
    assert lw.fill("{g}", {"g": grouped}) == (
        "| k | v / min | v / max |\n| --- | --- | --- |\n| 1 | 1 | 2 |\n| 2 | 3 | 3 |"
    )


def test_arrays_and_containers_are_shortened_and_a_format_gives_all() -> None:
    names = {"a": np.arange(10_000), "m": np.eye(2), "n": list(range(1000)), "t": "ab" * 20_000}
    assert lw.fill("{a}", names).endswith("(array of shape (10000,), int64)")
    assert len(lw.fill("{a}", names)) < 200
    assert "[1., 0.]" in lw.fill("{m}", names)
    assert len(lw.fill("{n}", names)) < 1000
    assert lw.fill("{n!r}", names) == repr(names["n"])
    assert lw.fill("{t}", names).endswith("(the first 10,000 of 40,000 characters)")
    assert lw.fill("{t!s}", names) == names["t"]


# Files


def test_a_file_goes_along_as_a_block_that_nothing_in_it_ends(tmp_path: Path) -> None:
    path = tmp_path / "notes.md"
    path.write_text("\ufeffSee:\n```python\n{x}\n```\n", encoding="utf-8")
    filled = lw.fill("Sum up.", NAMES, files=[path])
    assert filled == "Sum up.\n\nnotes.md:\n````md\nSee:\n```python\n{x}\n```\n````"
    assert [(each.source, each.kind) for each in filled.inserts] == [("notes.md", "file")]


def test_a_long_csv_is_cut_with_a_note(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_text("a,b\n" + "1,2\n" * 1000)
    filled = lw.fill("", files=[path])
    assert filled.count("1,2") == 50
    assert filled.endswith("(1,000 lines after the header; the first 50 are shown)")


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"\x89PNG\r\n\x1a\n\0", "not a text file"), (b"caf\xe9", "not a text file"), (b"a" * 1_000_001, "too large")],
)
def test_what_is_no_text_is_refused(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "file.bin"
    path.write_bytes(content)
    with pytest.raises(lw.errors.FillError, match=words):
        lw.fill("", files=[path])
    with pytest.raises(lw.errors.FillError, match="cannot be read"):
        lw.fill("", files=[tmp_path / "nowhere.txt"])


# Completions


class Owner:
    touched = False

    @property
    def size(self) -> int:
        Owner.touched = True
        return 1

    def shape(self) -> int:
        return 1

    _secret = 1


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("na", (0, ["name"])),
        ("x + na", (4, ["name"])),
        ("owner.s", (6, ["shape", "size"])),
        ("owner._sec", (6, ["_secret"])),
        ("inner.owner.sh", (12, ["shape"])),
        ("owner.size.", (11, [])),
        ("sorte", (0, ["sorted"])),
        ("nowhere.", (8, [])),
        ("f().", (4, [])),
        ("d['na", (3, [])),
        ("NAM", (0, ["name"])),
    ],
)
def test_what_may_come_next(source: str, expected: tuple[int, list[str]]) -> None:
    inner = type("Inner", (), {"owner": Owner()})()
    assert completions(source, {**NAMES, "owner": Owner(), "inner": inner}) == expected
    assert not Owner.touched


def test_all_variables_are_offered_at_the_beginning() -> None:
    assert completions("", {"b": 1, "a": 2, "_private": 3}) == (0, ["a", "b"])


def test_filling_works_in_any_thread() -> None:
    found: list[str] = []
    thread = threading.Thread(target=lambda: found.append(lw.fill("{x}", NAMES)))
    thread.start()
    thread.join()
    assert found == ["91"]
