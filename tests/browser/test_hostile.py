"""Strings that were written to run, load, submit or restyle something, wherever the widgets in JupyterLab show text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from playwright.sync_api import expect

from tests.browser.test_main_job import ask, conversation, wait_until_ready

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Locator, Page

    from tests.browser.lab import Lab, Notebook

    Open = Callable[..., Notebook]

_GIVEN = json.loads((Path(__file__).parent.parent / "golden" / "hostile.json").read_text(encoding="utf-8"))
HOSTILE: list[str] = [
    *_GIVEN["strings"],
    *(context.replace("{}", address) for context in _GIVEN["contexts"] for address in _GIVEN["addresses"]),
]

SHOW = f"""
import json
import llama_widgets as lw
from pathlib import Path
from llama_widgets.engines.scripted import ScriptedEngine, Thought
texts = json.loads({json.dumps(HOSTILE)!r})
steps = [step for text in texts for step in (Thought(text), text + "\\n\\n")]
steps = [*sorted(steps, key=lambda step: isinstance(step, str)), ValueError(texts[0])]
worker = lw.Worker(lambda: ScriptedEngine(lambda _: steps), find=Path)
said = [
    {{"role": role, "content": text}} | ({{"thoughts": text}} if role == "assistant" else {{}})
    for text in texts
    for role in ("user", "assistant")
]
panel = lw.ChatPanel("m.gguf", system=texts[0], messages=said, worker=worker, height="500px")
panel
"""
ERRORS = """
everything = " ".join(texts)
panel.show(
    error={"code": "x", "message": everything, "hint": everything},
    notices=texts,
    loaded={"name": everything, "path": everything, "quantisation": "Q4", "n_ctx": 1, "memory": 1},
)
"""
MODELS = """
selector, progress = lw.ModelSelector(), lw.DownloadProgress()
selector._draw_models = selector._draw_downloads = progress._draw_downloads = lambda: None
model = {"quantisation": "Q4", "size": 1, "source": "folder", "used": 0.0, "architecture": "", "n_params": 0}
selector.show(models=[{**model, "model": text, "name": text, "path": text} for text in texts])
download = {"done": 1, "total": 2, "rate": 1.0, "eta_s": 1.0, "free_after": 1}
error = {"code": "x", "message": everything, "hint": everything}
rows = [
    {**download, "id": str(i), "name": text, "model": text, "note": text, "state": state, "error": failed}
    for i, text in enumerate(texts)
    for state, failed in [[("downloading", None), ("failed", {**error, "message": text, "hint": text})][i % 2]]
]
progress.show(downloads=rows)
selector.show(downloads=rows, error=error, notices=texts)
import ipywidgets
ipywidgets.VBox([selector, progress])
"""

LOOK = """() => {
    const found = new Set();
    const markdown = new Set((
        "a blockquote br button code del div em hr img input li ol p pre section span strong sup table tbody td th " +
        "thead tr ul math menclose mfrac mi mn mo mover mpadded mphantom mroot mrow ms mspace msqrt mstyle msub " +
        "msubsup msup mtable mtd mtext mtr munder munderover").split(" "));
    const never = new Set((
        "script style iframe frame object embed applet link meta base video audio source track template portal form"
    ).split(" "));
    const attributes = /^(on.*|srcdoc|srcset|formaction|action|ping|background|poster|xlink:.*|autofocus|is|data)$/i;
    for (const each of document.querySelectorAll(".lw *")) {
        const name = each.localName;
        if (each.closest(".lw-markdown") && !each.matches(".lw-markdown") && !markdown.has(name)) found.add(name);
        if (never.has(name)) found.add(name);
        for (const attribute of each.attributes) if (attributes.test(attribute.name)) found.add(attribute.name);
        if (name === "a" && !/^(https?|mailto):$/.test(each.protocol)) found.add(each.href);
        if (name === "a" && !/noopener/.test(each.rel)) found.add("opener of " + each.href);
        if (name === "img" && !each.src.startsWith("data:image/")) found.add(each.src);
        if (each.closest(".lw-markdown") && /fixed|sticky/.test(getComputedStyle(each).position)) found.add("fixed");
        // What is bound to an element runs on these; the page itself would follow a click on a link.
        if (each.closest(".lw-markdown") && name !== "a" && name !== "button")
            for (const type of ["click", "mouseover", "focus", "load", "error", "toggle"])
                each.dispatchEvent(new Event(type));
    }
    return [...found];
}"""
SURROUNDINGS = """() => ["body", ".jp-Cell-inputArea", "#jp-top-panel"].map(selector => {
    const each = document.querySelector(selector);
    const { color, backgroundColor, backgroundImage, fontFamily, visibility } = getComputedStyle(each);
    return [color, backgroundColor, backgroundImage, fontFamily, visibility, each.getBoundingClientRect().width];
})"""


def watch(page: Page, lab: Lab) -> list[str]:
    """Return the requests that leave the page for anywhere but the notebook server; lay out what scripts would trip."""
    left: list[str] = []
    ours = (lab.url, lab.url.replace("http", "ws"), "blob:", "data:")
    page.context.on("request", lambda request: None if request.url.startswith(ours) else left.append(request.url))
    page.context.on("page", lambda opened: left.append(opened.url))
    page.on("dialog", lambda dialog: left.append(dialog.message))
    page.add_init_script("window.pwn = window.alert = () => { window.pwned = true; }")
    return left


def expect_harmless(page: Page, left: list[str], surroundings: Any) -> None:  # noqa: ANN401 - JSON
    assert page.evaluate(LOOK) == []
    assert page.evaluate(SURROUNDINGS) == surroundings
    assert not page.evaluate("() => window.pwned ?? false")
    assert left == []


def through(log: Locator) -> None:
    """Scroll through all of a conversation, so that all of it is drawn."""
    log.evaluate("""async log => {
        for (log.scrollTop = 0; ; log.scrollTop += log.clientHeight) {
            await new Promise(requestAnimationFrame);
            if (log.scrollTop + log.clientHeight >= log.scrollHeight - 2) break;
        }
        for (const details of log.querySelectorAll("details")) details.open = true;
    }""")


def test_whatever_is_shown_nothing_runs_loads_or_restyles(page: Page, lab: Lab, notebook: Open) -> None:
    assert len(HOSTILE) >= 300
    left = watch(page, lab)
    nb = notebook([SHOW, ERRORS, MODELS])
    surroundings = page.evaluate(SURROUNDINGS)
    nb.run(0)
    panel = nb.output(0)
    log = conversation(panel)
    expect(log.locator(".lw-markdown")).to_have_count(len(HOSTILE))
    expect(log.locator("math").first).to_be_attached()
    expect(log.locator("[class^=lw-hl-]").first).to_be_attached()
    through(log)
    expect_harmless(page, left, surroundings)

    ask(page, panel, HOSTILE[0])
    wait_until_ready(panel)
    expect(panel.get_by_role("alert")).to_be_visible()
    through(log)
    expect_harmless(page, left, surroundings)

    nb.run(1)
    expect(panel.get_by_role("alert").first).to_contain_text("pwn()")
    expect_harmless(page, left, surroundings)

    nb.run(2)
    models = nb.output(2)
    expect(models.get_by_role("progressbar").first).to_be_visible()
    models.get_by_role("combobox", name="Model").click()
    expect(models.get_by_text("<script>pwn()</script>").first).to_be_visible()
    expect_harmless(page, left, surroundings)

    # All of this would have been seen.
    page.context.route("https://evil.example/**", lambda route: route.abort())
    page.evaluate("""() => {
        document.querySelector(".lw-markdown").innerHTML += '<img src="https://evil.example/x" onerror="pwn()">';
    }""")
    page.wait_for_function("() => window.pwned")
    assert left == ["https://evil.example/x"]
    assert set(page.evaluate(LOOK)) == {"onerror", "https://evil.example/x"}
