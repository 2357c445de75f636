"""What comes in is checked field by field, and what goes out is plain."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llama_widgets import protocol as p
from llama_widgets.chat.changes import Snapshot
from llama_widgets.errors import ParameterError, ProtocolError
from llama_widgets.options import GenerationOptions, LoadOptions
from llama_widgets.widgets.messages import FROM_VIEW, TO_VIEW
from llama_widgets.wire import decode

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=4,
)


@pytest.mark.parametrize("kinds", [p.COMMANDS, p.EVENTS, FROM_VIEW, TO_VIEW])
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(data=st.data())
def test_nothing_but_a_message_gets_through(kinds: dict[str, Any], data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(sorted(kinds)))
    names = [f.name for f in fields(kinds[kind])]
    body = data.draw(st.dictionaries(st.sampled_from([*names, "other"]), JSON))
    try:
        message = decode({**body, "type": kind}, kinds)
    except (ProtocolError, ParameterError) as error:
        assert error.message  # noqa: PT017 - either outcome is right, but a refusal says something
        return
    again = decode(message.to_dict(), kinds)
    assert again.to_dict() == message.to_dict()
    json.dumps(message.to_dict())


@given(data=JSON)
def test_other_data_is_refused(data: object) -> None:
    with pytest.raises(ProtocolError):
        p.decode_command(data)


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("temperature", -0.1, "between 0 and 5"),
        ("temperature", "warm", "a number"),
        ("temperature", True, "a number"),
        ("temperature", float("inf"), "a number"),
        ("top_k", 1.5, "a whole number"),
        ("max_tokens", 0, "at least 1"),
        ("max_tokens", "many", "a whole number or null"),
        ("seed", 2**32, "between 0"),
        ("stop", "x", "a list of text"),
        ("logit_bias", {"a": "much"}, "an object that gives each name a number"),
        ("logit_bias", {"a": True}, "an object that gives each name a number"),
        ("json_schema", "{}", "an object or null"),
        ("context_overflow", "wrap", "'shift' or 'stop'"),
        ("unknown", 1, "not a field"),
    ],
)
def test_the_first_fault_is_named(field: str, value: object, words: str) -> None:
    message = {"type": "generate_completion", "request_id": "g", "prompt": "x", "options": {field: value}}
    with pytest.raises(ParameterError, match=words) as caught:
        p.decode_command(message)
    assert field in str(caught.value)


def test_a_long_value_is_shown_short() -> None:
    with pytest.raises(ProtocolError) as caught:
        p.decode_command({"type": "abort", "request_id": "a", "target": ["x" * 1_000_000]})
    assert len(str(caught.value)) < 300


def test_a_token_is_read_and_never_told() -> None:
    secret = "hf_very_secret"
    command = p.decode_command({"type": "download_model", "request_id": "d", "model": "hf:a/b", "token": secret})
    assert isinstance(command, p.DownloadModel)
    assert command.token == secret
    assert secret not in repr(command)
    assert secret not in json.dumps(command.to_dict())


def test_whole_numbers_become_numbers() -> None:
    command = p.decode_command(
        {"type": "generate_completion", "request_id": "g", "prompt": "x", "options": {"temperature": 1}}
    )
    assert isinstance(command, p.GenerateCompletion)
    assert isinstance(command.options.temperature, float)
    assert command.options == GenerationOptions(temperature=1.0)


def test_load_options_within_a_question_are_read_and_may_be_missing() -> None:
    message = {"type": "generate_chat_completion", "request_id": "g", "messages": []}
    without = p.decode_command(message | {"load": None})
    assert isinstance(without, p.GenerateChatCompletion)
    assert without.load is None
    given = p.decode_command(message | {"load": {"n_ctx": 64, "lora": ["a", {"path": "b"}]}})
    assert isinstance(given, p.GenerateChatCompletion)
    assert given.load == LoadOptions(n_ctx=64, lora=["a", {"path": "b"}])
    for wrong in ({"n_ctx": 1}, {"lora": [1]}, {"layers": 1}):
        with pytest.raises(ParameterError):
            p.decode_command(message | {"load": wrong})
    with pytest.raises(ProtocolError, match="'load' of message generate_chat_completion must be an object"):
        p.decode_command(message | {"load": 7})


def test_a_snapshot_survives_the_way() -> None:
    snapshot = Snapshot(request_id="h", turns=[{"id": "1", "role": "user", "content": "x"}], running="g", seq=3)
    assert decode(json.loads(json.dumps(snapshot.to_dict())), TO_VIEW) == snapshot
