"""The wire, held to the same golden messages as the TypeScript side (``frontend/tests/golden.test.ts``)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from llama_widgets.errors import LlamaWidgetsError
from llama_widgets.protocol import COMMANDS, EVENTS
from llama_widgets.widgets.messages import FROM_VIEW, TO_VIEW, sweep
from llama_widgets.wire import Message, decode

GOLDEN = Path(__file__).parent.parent / "golden"


def _read(name: str) -> Any:  # noqa: ANN401 - JSON
    return json.loads((GOLDEN / name).read_text(encoding="utf-8"))


_VIEW = _read("view.json")
_MALFORMED = _read("malformed.json")
_OWN = {"sweep": sweep}
"""Messages of single widgets, by the names of their files."""
GROUPS: dict[str, tuple[dict[str, type[Message]], list[dict[str, Any]]]] = {
    "commands": (COMMANDS, _read("commands.json")),
    "events": (EVENTS, _read("events.json")),
    "from_view": ({kind: cls for kind, cls in FROM_VIEW.items() if kind not in COMMANDS}, _VIEW["from_view"]),
    "to_view": (TO_VIEW, _VIEW["to_view"]),
    **{f"{name}_from_view": (module.FROM_VIEW, _read(f"{name}.json")["from_view"]) for name, module in _OWN.items()},
    **{f"{name}_to_view": (module.TO_VIEW, _read(f"{name}.json")["to_view"]) for name, module in _OWN.items()},
}


@pytest.mark.parametrize(
    ("kinds", "message"),
    [
        pytest.param(kinds, message, id=f"{group}-{message['type']}-{message['request_id']}")
        for group, (kinds, messages) in GROUPS.items()
        for message in messages
    ],
)
def test_golden_message_survives_the_way_in_and_out(kinds: dict[str, type[Message]], message: dict[str, Any]) -> None:
    assert decode(message, kinds).to_dict() == message


@pytest.mark.parametrize("group", GROUPS)
def test_each_declared_type_has_a_golden_message(group: str) -> None:
    kinds, messages = GROUPS[group]
    assert {message["type"] for message in messages} == set(kinds)


@pytest.mark.parametrize(
    ("kinds", "case"),
    [
        pytest.param(kinds, case, id=case["given"]["type"])
        for kinds, name in ((COMMANDS, "commands"), (EVENTS, "events"))
        for case in _read("defaults.json")[name]
    ],
)
def test_what_is_not_given_is_filled_in(kinds: dict[str, type[Message]], case: dict[str, Any]) -> None:
    assert decode(case["given"], kinds).to_dict() == case["read"]


@pytest.mark.parametrize(
    ("kinds", "message"),
    [
        pytest.param(kinds, case["message"], id=case["why"])
        for kinds, cases in (
            (FROM_VIEW, _MALFORMED["from_view"]),
            *((module.FROM_VIEW, _read(f"{name}.json")["malformed"]["from_view"]) for name, module in _OWN.items()),
        )
        for case in cases
    ],
)
def test_malformed_message_of_a_view_is_refused(kinds: dict[str, type[Message]], message: object) -> None:
    with pytest.raises(LlamaWidgetsError):
        decode(message, kinds)
