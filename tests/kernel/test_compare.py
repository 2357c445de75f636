"""A comparison in a real kernel, with the real model, spoken to as a front end does."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.kernel.harness import Kernel

COMPARE = """
import llama_widgets as lw
sides = [{"temperature": 0}, {"temperature": 1, "seed": 1}]
duel = lw.Compare(sides, model=lw.models()[0], max_tokens=12)
print(duel.model_id)
duel
"""


def page_of(kernel: Kernel) -> str:
    """Return what the output beside the widget says now."""
    shown = [m["content"]["data"].get("text/html", "") for m in kernel.received if "display_data" in m["msg_type"]]
    return next((html for html in reversed(shown) if "lw-transcript" in html), "")


def test_both_sides_answer_at_once_while_cells_run_and_the_notebook_keeps_it(kernel: Kernel) -> None:
    made = kernel.run(COMPARE)
    assert (made.status, made.stderr) == ("ok", ""), made
    duel = made.stdout.strip()
    kernel.send_custom(duel, {"type": "ask", "request_id": "q", "text": "Tell me a story about a llama."})

    def rounds() -> list[dict[str, Any]]:
        return [each for each in kernel.customs(duel, "round") if each["number"] == 0]

    kernel.until(lambda: bool(kernel.customs(duel, "grown")))
    assert kernel.run("1 + 1").result == "2"
    kernel.until(lambda: bool(rounds()) and rounds()[-1]["running"] == "")
    answers = rounds()[-1]["round"]["answers"]
    assert [answer["stop_reason"] for answer in answers] == ["max_tokens", "max_tokens"]
    together = [{piece["place"] for piece in each["answers"]} for each in kernel.customs(duel, "grown")]
    assert {0, 1} in together, "they answered one after the other"
    assert sorted(each["seq"] for each in kernel.customs(duel, "grown")) == list(range(len(together)))

    kernel.send_custom(duel, {"type": "judge", "request_id": "j", "round": 0, "vote": 1})
    kernel.until(lambda: "✓ better" in page_of(kernel))
    assert "temperature 1, seed 1" in page_of(kernel)
    texts = json.dumps([answer["text"] for answer in answers])
    voted = kernel.run(f"import json; [r.vote for r in duel.rounds], list(duel.to_dataframe()['text']) == {texts}")
    assert voted.result == "([1], True)"
    asked = kernel.run("[reply.stop_reason for reply in duel.ask('And then?')]")
    assert (asked.result, asked.stderr) == ("['max_tokens', 'max_tokens']", "")
    assert page_of(kernel).count("<blockquote>") == 2  # nothing is left to be written when the cell has ended
