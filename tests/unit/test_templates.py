"""Chat templates in the manner of published ones: what each is told, and what is said in other words."""

from __future__ import annotations

from typing import Any

import pytest

from llama_widgets.engines.templates import sandbox
from llama_widgets.engines.templates.segments import Segmenter
from llama_widgets.engines.templates.template import ChatTemplate
from llama_widgets.errors import ParameterError

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
QWEN3 = """
{%- if tools %}
    {{- '<|im_start|>system\\n' }}
    {%- if messages[0].role == 'system' %}{{- messages[0].content + '\\n\\n' }}{%- endif %}
    {{- 'Call with <tool_call></tool_call>: ' }}{%- for tool in tools %}{{- tool | tojson }}{%- endfor %}
    {{- '<|im_end|>\\n' }}
{%- elif messages[0].role == 'system' %}
    {{- '<|im_start|>system\\n' + messages[0].content + '<|im_end|>\\n' }}
{%- endif %}
{%- for message in messages %}
    {%- if message.role == 'user' %}
        {{- '<|im_start|>user\\n' + message.content + '<|im_end|>\\n' }}
    {%- elif message.role == 'assistant' %}
        {{- '<|im_start|>assistant\\n' }}
        {%- if message.reasoning_content and loop.last %}
            {{- '<think>\\n' + message.reasoning_content + '\\n</think>\\n\\n' }}
        {%- endif %}
        {{- message.content }}
        {%- for call in message.tool_calls %}
            {{- '\\n<tool_call>\\n{"name": "' + call.function.name + '", "arguments": ' }}
            {{- call.function.arguments | tojson }}{{- '}\\n</tool_call>' }}
        {%- endfor %}
        {{- '<|im_end|>\\n' }}
    {%- elif message.role == 'tool' %}
        {{- '<|im_start|>user\\n<tool_response>\\n' + message.content + '\\n</tool_response><|im_end|>\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}{{- '<think>\\n\\n</think>\\n\\n' }}{%- endif %}
{%- endif %}
"""
R1 = (
    "{{ bos_token }}{% for message in messages %}"
    "{% if message.role == 'system' %}{{ message.content }}"
    "{% elif message.role == 'user' %}<User>{{ message.content }}"
    "{% elif message.role == 'assistant' %}<Assistant>{{ message.content.split('</think>')[-1] }}{{ eos_token }}"
    "{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '<Assistant><think>\\n' }}{% endif %}"
)
V31 = (
    "{% if not thinking is defined %}{% set thinking = false %}{% endif %}"
    "{% for message in messages %}<{{ message.role }}>{{ message.content }}{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{{ '<think>' if thinking else '</think>' }}{% endif %}"
)
GEMMA = (
    "{{ bos_token }}{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    "{% for message in messages %}{% if (message.role == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate') }}{% endif %}"
    "<start_of_turn>{{ 'model' if message.role == 'assistant' else message.role }}\n{{ message.content | trim }}"
    "<end_of_turn>\n{% endfor %}{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)
DROPS_SYSTEM = (
    "{% for message in messages %}{% if message.role == 'user' %}[{{ message.content }}]"
    "{% elif message.role == 'assistant' %}({{ message.content }}){% endif %}{% endfor %}"
)
MISTRAL = (
    "{% set users = messages | selectattr('role', 'equalto', 'user') | list %}{% for message in messages %}"
    "{% if message.role == 'user' %}{% if tools is not none and message == users[-1] %}"
    "[AVAILABLE_TOOLS]{{ tools | tojson }}[/AVAILABLE_TOOLS]{% endif %}[INST]{{ message.content }}[/INST]"
    "{% elif message.tool_calls is defined %}[TOOL_CALLS][{% for call in message.tool_calls %}"
    "{% if call.id | length != 9 %}{{ raise_exception('ids must be of length 9') }}{% endif %}"
    "{{ call.function | tojson }}|{{ call.id }}{% if not loop.last %}, {% endif %}{% endfor %}]{{ eos_token }}"
    "{% elif message.role == 'tool' %}{% if message.tool_call_id | length != 9 %}{{ raise_exception('length 9') }}"
    "{% endif %}[TOOL_RESULTS]{{ message.content }}|{{ message.tool_call_id }}[/TOOL_RESULTS]"
    "{% elif message.role == 'assistant' %}{{ message.content }}{{ eos_token }}"
    "{% else %}{{ raise_exception('no ' + message.role) }}{% endif %}{% endfor %}"
)
LLAMA = (
    "{{ bos_token }}{% if tools %}<|start_header_id|>system<|end_header_id|>\n"
    'Respond with {"name": function name, "parameters": dictionary}: {{ tools | tojson }}<|eot_id|>{% endif %}'
    "{% for message in messages %}{% if 'tool_calls' in message %}"
    "{% if message.tool_calls | length != 1 %}{{ raise_exception('only single tool-calls at once') }}{% endif %}"
    "{% set call = message.tool_calls[0].function %}<|start_header_id|>assistant<|end_header_id|>\n"
    '{"name": "{{ call.name }}", "parameters": {{ call.arguments | tojson }}}<|eot_id|>'
    "{% elif message.role == 'tool' %}<|start_header_id|>ipython<|end_header_id|>\n{{ message.content | tojson }}"
    "<|eot_id|>{% else %}<|start_header_id|>{{ message.role }}<|end_header_id|>\n{{ message.content }}<|eot_id|>"
    "{% endif %}{% endfor %}{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n{% endif %}"
)
GPT_OSS = (
    "<|start|>system<|message|>Reasoning: {{ reasoning_effort or 'medium' }}{% if tools %}"
    "{% for tool in tools %}// {{ tool.function.description + tool.function.name }}{% endfor %}{% endif %}<|end|>"
    "{% set ns = namespace(name=none) %}{% for message in messages %}"
    "{% if message.role == 'assistant' and 'tool_calls' in message %}"
    "{% if message.content and message.thinking %}{{ raise_exception('not both') }}{% endif %}"
    "{% if message.thinking %}<|start|>assistant<|channel|>analysis<|message|>{{ message.thinking }}<|end|>{% endif %}"
    "{% set call = message.tool_calls[0].function %}{% set ns.name = call.name %}"
    "<|start|>assistant to=functions.{{ call.name }}<|channel|>commentary json<|message|>{{ call.arguments | tojson }}"
    "<|call|>{% elif message.role == 'assistant' %}<|start|>assistant<|channel|>final<|message|>{{ message.content }}"
    "<|end|>{% elif message.role == 'tool' %}{% if ns.name is none %}{{ raise_exception('no call before') }}{% endif %}"
    "<|start|>functions.{{ ns.name }} to=assistant<|channel|>commentary<|message|>{{ message.content | tojson }}<|end|>"
    "{% else %}<|start|>{{ message.role }}<|message|>{{ message.content }}<|end|>{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|start|>assistant{% endif %}"
)
PHI = (
    "{% for message in messages %}<|{{ message.role }}|>\n{{ message.content }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% else %}{{ eos_token }}{% endif %}"
)
ALL = {
    "chatml": CHATML,
    "qwen3": QWEN3,
    "r1": R1,
    "v3.1": V31,
    "gemma": GEMMA,
    "drops system": DROPS_SYSTEM,
    "mistral": MISTRAL,
    "llama": LLAMA,
    "gpt-oss": GPT_OSS,
    "phi": PHI,
    "plain": None,
}
NATIVE = {"qwen3", "mistral", "llama", "gpt-oss"}

TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "Tells the weather.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
SYSTEM = {"role": "system", "content": "Be kind."}
HELLO = {"role": "user", "content": "Hello"}
ASKED: list[dict[str, Any]] = [
    HELLO,
    {
        "role": "assistant",
        "content": "",
        "thoughts": "Two cities, then.",
        "tool_calls": [
            {"id": "call-1", "name": "weather", "arguments": {"city": "Rome"}},
            {"id": "call-2", "name": "weather", "arguments": {"city": "Lyon"}},
        ],
    },
    {"role": "tool", "name": "weather", "tool_call_id": "call-1", "content": "sun"},
    {"role": "tool", "name": "weather", "tool_call_id": "call-2", "content": "rain"},
]


def template(source: str | None, **options: Any) -> ChatTemplate:  # noqa: ANN401 - what ChatTemplate takes
    return ChatTemplate(source, "<s>", "</s>", **options)


def rendered(source: str | None, *messages: dict[str, Any], thinking: Any = "auto", tools: Any = ()) -> str:  # noqa: ANN401
    return template(source).render(messages, thinking, tools)


# Messages


@pytest.mark.parametrize("name", ALL)
def test_all_that_was_said_is_in_the_prompt_in_order(name: str) -> None:
    answer, more = {"role": "assistant", "content": "Good day"}, {"role": "user", "content": "And you?"}
    prompt = rendered(ALL[name], SYSTEM, HELLO, answer, more)
    places = [prompt.find(text) for text in ("Be kind.", "Hello", "Good day", "And you?")]
    assert -1 < places[0] < places[1] < places[2] < places[3]


def test_a_system_message_that_is_refused_goes_to_the_user() -> None:
    assert rendered(GEMMA, SYSTEM, HELLO) == (
        "<s><start_of_turn>user\nBe kind.\n\nHello<end_of_turn>\n<start_of_turn>model\n"
    )


def test_a_system_message_that_is_dropped_goes_to_the_user() -> None:
    assert rendered(DROPS_SYSTEM, SYSTEM, HELLO) == "[Be kind.\n\nHello]"
    assert rendered(DROPS_SYSTEM, HELLO, SYSTEM) == "[Hello][Be kind.]"
    answer = {"role": "assistant", "content": "Good day"}
    assert rendered(DROPS_SYSTEM, SYSTEM, answer, HELLO) == "(Good day)[Be kind.\n\nHello]"


def test_a_system_message_that_is_known_stays_one() -> None:
    assert rendered(CHATML, SYSTEM, HELLO).startswith("<|im_start|>system\nBe kind.<|im_end|>\n<|im_start|>user\nHello")


def test_a_later_system_message_that_is_refused_goes_to_the_user() -> None:
    source = (
        "{% for message in messages %}{% if message.role == 'system' and not loop.first %}"
        "{{ raise_exception('too late') }}{% endif %}[{{ message.role }}: {{ message.content }}]{% endfor %}"
    )
    assert rendered(source, SYSTEM, HELLO) == "[system: Be kind.][user: Hello]"
    assert rendered(source, HELLO, SYSTEM, HELLO) == "[user: Hello\n\nBe kind.\n\nHello]"


def test_turns_of_one_person_are_one_where_the_template_wants_that() -> None:
    assert rendered(GEMMA, HELLO, HELLO).count("<start_of_turn>user") == 1
    assert rendered(CHATML, HELLO, HELLO).count("<|im_start|>user") == 2


def test_content_in_parts_for_templates_that_want_it() -> None:
    source = "{% for message in messages %}{% for part in message.content %}{% if part.type == 'text' %}{{ part.text }}"
    source += "{% endif %}{% endfor %}{% endfor %}"
    assert rendered(source, HELLO) == "Hello"


def test_templates_for_which_no_tools_are_some() -> None:
    source = (
        "{% if tools is defined %}{% for tool in tools %}{{ tool }}{% endfor %}{% endif %}{{ messages[0].content }}"
    )
    assert rendered(source, HELLO) == "Hello"
    source = "{% if tools is not none %}Tools!{% endif %}{{ messages[0].content }}"
    assert rendered(source, HELLO) == "Hello"


def test_a_refusal_says_the_templates_own_reason() -> None:
    with pytest.raises(ParameterError, match="no cats here") as error:
        rendered(
            "{% if 'cat' in messages[-1].content %}{{ raise_exception('no cats here') }}{% endif %}{{ messages }}",
            {"role": "user", "content": "cat"},
        )
    assert error.value.hint


@pytest.mark.parametrize(
    "message",
    [
        {"role": "tool"},
        {"role": "tool", "content": None},
        {"role": "assistant", "content": None},
        {"role": "assistant", "content": "", "tool_calls": ["weather"]},
        {"role": "assistant", "content": "", "tool_calls": [{"name": 7, "arguments": {}}]},
        {"role": "assistant", "content": "", "tool_calls": [{"name": "weather", "arguments": "much"}]},
        {"role": "assistant", "content": "", "tool_calls": [{"name": "weather", "arguments": [1]}]},
        {"role": "user", "content": ["Hello"]},
        {"role": ["user"], "content": "Hello"},
    ],
    ids=str,
)
def test_messages_of_the_wrong_shape_are_refused(message: dict[str, Any]) -> None:
    with pytest.raises(ParameterError, match="Message 1 is not one"):
        rendered(CHATML, HELLO, message)


def test_no_messages_and_an_empty_question_are_refused() -> None:
    with pytest.raises(ParameterError, match="no messages"):
        rendered(CHATML)
    with pytest.raises(ParameterError, match="empty"):
        rendered(CHATML, {"role": "user", "content": " \n"})


# Which template


def test_without_a_template_there_is_a_plain_one_and_a_problem() -> None:
    plain = template(None)
    assert plain.render([SYSTEM, HELLO], "auto") == "System: Be kind.\nUser: Hello\nAssistant:"
    assert (plain.origin, plain.problem) == ("plain", "it has no chat template")
    assert "\nUser:" in plain.stop
    assert not any(template(source).stop for source in ALL.values() if source)


@pytest.mark.parametrize("source", ["mistral-v7-tekken", "Hello", " "])
def test_a_name_is_no_template(source: str) -> None:
    # llama.cpp gives one for some models.
    assert (template(source).origin, template(source).problem) == ("plain", "it has no chat template")


@pytest.mark.parametrize(
    "source",
    [
        "{% if %}",
        "{{ unclosed",
        "{% endfor %}{{ 1 }}",
        "{{ x | no_such_filter }}",
        "{% for x in y %}" * 30 + "{% endfor %}" * 30,
        "{{ " + "(" * 5_000 + "1" + ")" * 5_000 + " }}",
    ],
    ids=lambda source: source[:30],
)
def test_a_template_that_does_not_compile_is_replaced_and_a_given_one_is_refused(source: str) -> None:
    own = template(source)
    assert own.origin == "plain"
    assert "cannot be read" in own.problem
    with pytest.raises(ParameterError, match="cannot be used") as error:
        template(CHATML, given=source)
    assert error.value.hint


def test_a_given_template_is_used() -> None:
    given = template(CHATML, given="<<{{ messages[0].content }}>>")
    assert given.render([HELLO], "auto") == "<<Hello>>"
    assert (given.origin, given.problem) == ("given", "")
    assert template(None, given=CHATML).origin == "given"


def test_a_variant_is_used_by_its_name() -> None:
    variants = {"rag": "rag: {{ messages[0].content }}", "tool_use": "tools: {{ messages[0].content }}{{ tools }}"}
    assert template(CHATML, variants=variants, given="rag").render([HELLO], "auto", [TOOL]).startswith("rag: ")
    assert template(CHATML, variants=variants, given="default").render([HELLO], "auto").startswith("<|im_start|>")


def test_a_name_that_is_none_is_refused_with_those_that_are() -> None:
    with pytest.raises(ParameterError, match="'rga'") as error:
        template(CHATML, variants={"rag": "{{ 1 }}"}, given="rga")
    assert "default, rag" in error.value.hint
    with pytest.raises(ParameterError) as error:
        template(None, given="rag")
    assert "none" in error.value.hint


def test_the_variant_for_tools_is_used_when_there_are_tools() -> None:
    both = template(CHATML, variants={"tool_use": QWEN3})
    assert "Call with" in both.render([HELLO], "auto", [TOOL])
    assert both.render([HELLO], "auto") == rendered(CHATML, HELLO)
    assert both.supports["tools"]
    assert not template(CHATML).supports["tools"]


def test_a_broken_variant_for_tools_does_no_harm() -> None:
    broken = template(QWEN3, variants={"tool_use": "{% if %}"})
    assert broken.render([HELLO], "auto", [TOOL]) == rendered(QWEN3, HELLO, tools=[TOOL])


# Thinking


def test_thinking_is_passed_to_a_template_that_knows_it() -> None:
    auto = rendered(QWEN3, HELLO)
    assert auto == rendered(QWEN3, HELLO, thinking=True)
    assert rendered(QWEN3, HELLO, thinking=False) == auto + "<think>\n\n</think>\n\n"
    assert rendered(V31, HELLO).endswith("<assistant></think>")
    assert rendered(V31, HELLO, thinking=True).endswith("<assistant><think>")
    assert template(QWEN3).thinking_known
    assert template(V31).thinking_known


def test_a_thought_that_the_template_opens_is_closed_when_none_is_wanted() -> None:
    assert rendered(R1, HELLO) == rendered(R1, HELLO, thinking=True) == "<s><User>Hello<Assistant><think>\n"
    assert rendered(R1, HELLO, thinking=False) == "<s><User>Hello<Assistant><think>\n\n</think>\n\n"
    assert template(R1).thinking_known


@pytest.mark.parametrize("name", ["chatml", "gemma", "llama", "phi", "gpt-oss", "plain"])
def test_templates_that_cannot_be_told_say_so(name: str) -> None:
    assert not template(ALL[name]).thinking_known
    assert len({rendered(ALL[name], HELLO, thinking=thinking) for thinking in (True, False, "auto")}) == 1


def test_what_is_said_to_support_thinking() -> None:
    thinking = {name for name, source in ALL.items() if template(source).supports["thinking"]}
    assert thinking == {"qwen3", "r1", "v3.1", "gpt-oss"}
    assert all(template(source).supports["chat"] for source in ALL.values())


@pytest.mark.parametrize(
    ("name", "thinking", "segment"),
    [
        ("chatml", "auto", "text"),
        ("qwen3", "auto", "text"),
        ("qwen3", False, "text"),
        ("r1", "auto", "thought"),
        ("r1", False, "text"),
        ("v3.1", True, "thought"),
        ("v3.1", False, "text"),
    ],
)
def test_an_answer_begins_where_the_prompt_left_it(name: str, thinking: Any, segment: str) -> None:  # noqa: ANN401
    chat = template(ALL[name])
    question = {"role": "user", "content": "What is <think>"}
    assert Segmenter(chat.tags, chat.render([question], thinking)).segment == segment


def test_a_thought_that_the_prompt_began_goes_on() -> None:
    chat = template(R1)
    segmenter = Segmenter(chat.tags, chat.render([HELLO], "auto") + "I wonder")
    assert segmenter.feed(" why</think>Hi") == [("thought", " why"), ("text", "Hi")]


@pytest.mark.parametrize(
    ("name", "end"),
    [
        ("chatml", "<|im_start|>assistant\n"),
        ("r1", "<Assistant><think>\n\n</think>\n\n"),
        ("gpt-oss", "<|start|>assistant<|channel|>final<|message|>"),
        ("plain", "Assistant:"),
    ],
)
def test_a_prefix_goes_where_the_answer_itself_begins(name: str, end: str) -> None:
    chat = template(ALL[name])
    prompt = chat.answer(chat.render([HELLO], "auto"))
    assert prompt.endswith(end)
    assert chat.answer(prompt) == prompt
    assert Segmenter(chat.tags, prompt + "Good").feed(" day") == [("text", " day")]


def test_thoughts_reach_templates_that_look_for_them() -> None:
    thoughtful = {"role": "assistant", "content": "Hi", "thoughts": "Be brief."}
    assert "<think>\nBe brief.\n</think>\n\nHi" in rendered(QWEN3, HELLO, thoughtful)
    assert "Be brief." not in rendered(R1, HELLO, thoughtful, HELLO)
    assert "analysis<|message|>Two cities, then.<|end|>" in rendered(GPT_OSS, *ASKED, tools=[TOOL])


# Tools


@pytest.mark.parametrize("name", ALL)
def test_tools_calls_and_results_reach_every_model(name: str) -> None:
    prompt = rendered(ALL[name], SYSTEM, *ASKED, tools=[TOOL])
    for text in ("weather", "Tells the weather.", "Be kind.", "Hello", "Rome", "Lyon", "sun", "rain"):
        assert text in prompt
    assert template(ALL[name]).supports["tools"] == (name in NATIVE)


@pytest.mark.parametrize("name", sorted(ALL.keys() - NATIVE))
def test_tools_that_a_template_does_not_know_are_described(name: str) -> None:
    chat = template(ALL[name])
    prompt = chat.render([SYSTEM, *ASKED], "auto", [TOOL])
    assert prompt.index("Be kind.") < prompt.index("<tools>") < prompt.index("Hello") < prompt.rindex("<tool_call>")
    assert chat.tools.write(ASKED[1]["tool_calls"]) in prompt
    assert "<tool_response>\nsun\n</tool_response>\n<tool_response>\nrain\n</tool_response>" in prompt
    assert chat.tags.call == ("<tool_call>", "</tool_call>")


def test_tools_are_described_to_a_model_that_speaks_of_them_in_an_unknown_way() -> None:
    source = "{% for tool in tools or [] %}@{{ tool.function.name }}@{% endfor %}" + CHATML
    prompt = rendered(source, HELLO, tools=[TOOL])
    assert "@weather@" not in prompt
    assert "<tools>" in prompt


def test_calls_one_at_a_time_where_the_template_takes_no_more() -> None:
    prompt = rendered(LLAMA, *ASKED, tools=[TOOL])
    places = [prompt.index(text) for text in ('{"city": "Rome"}', '"sun"', '{"city": "Lyon"}', '"rain"')]
    assert places == sorted(places)
    prompt = rendered(GPT_OSS, *ASKED, tools=[TOOL])
    places = [prompt.index(text) for text in ('{"city": "Rome"}', '"sun"', '{"city": "Lyon"}', '"rain"')]
    assert places == sorted(places)


def test_calls_that_have_no_results_yet() -> None:
    prompt = rendered(LLAMA, *ASKED[:2], tools=[TOOL])
    assert prompt.index('{"city": "Rome"}') < prompt.index('{"city": "Lyon"}')


def test_templates_are_told_whose_result_it_is() -> None:
    source = QWEN3.replace(
        "message.content + '\\n</tool_response>",
        "message.name + message.tool_call_id + message.content + '\\n</tool_response>",
    )
    assert "weathercall-2rain" in rendered(source, *ASKED, tools=[TOOL])


def test_ids_are_numbers_of_nine_digits_where_the_template_wants_them() -> None:
    prompt = rendered(MISTRAL, *ASKED, tools=[TOOL])
    assert prompt.count("000000000") == prompt.count("000000001") == 2
    assert "|000000000, " in prompt
    assert "sun|000000000[/TOOL_RESULTS]" in prompt


def test_arguments_as_text_where_the_template_wants_them() -> None:
    source = QWEN3.replace("call.function.arguments | tojson", "'' + call.function.arguments")
    assert '"arguments": {"city": "Rome"}}' in rendered(source, *ASKED, tools=[TOOL])
    assert '"arguments": {"city": "Rome"}}' in rendered(QWEN3, *ASKED, tools=[TOOL])


def test_calls_in_the_form_of_openai_are_taken() -> None:
    theirs = {"id": "x", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Rome"}'}}
    ours = {"id": "x", "name": "weather", "arguments": {"city": "Rome"}}
    prompts = {
        rendered(QWEN3, HELLO, {"role": "assistant", "content": None, "tool_calls": [call]}) for call in (theirs, ours)
    }
    assert len(prompts) == 1


def test_calls_of_before_are_told_when_there_are_no_tools_any_more() -> None:
    for source in ALL.values():
        prompt = rendered(source, *ASKED)
        assert all(text in prompt for text in ("Rome", "Lyon", "sun", "rain"))


def test_tools_without_description_and_parameters_are_completed() -> None:
    prompt = rendered(GPT_OSS, HELLO, tools=[{"type": "function", "function": {"name": "now"}}])
    assert "// now" in prompt


def test_tools_of_the_wrong_shape_are_refused() -> None:
    with pytest.raises(ParameterError, match="Tool 0"):
        rendered(QWEN3, HELLO, tools=["weather"])


def test_answers_with_calls_are_read_as_their_template_says() -> None:
    for name, said in {
        "qwen3": '<think>hm</think><tool_call>\n{"name": "weather", "arguments": {"city": "Rome"}}\n</tool_call>',
        "chatml": '<tool_call>\n{"name": "weather", "arguments": {"city": "Rome"}}\n</tool_call>',
        "llama": '{"name": "weather", "parameters": {"city": "Rome"}}',
        "mistral": '[TOOL_CALLS][{"name": "weather", "arguments": {"city": "Rome"}}]',
        "gpt-oss": '<|channel|>commentary to=functions.weather<|message|>{"city": "Rome"}',
    }.items():
        chat = template(ALL[name])
        segmenter = Segmenter(chat.tags, chat.render([HELLO], "auto", [TOOL]), tools=True)
        out = [pair for letter in said for pair in segmenter.feed(letter)] + segmenter.flush()
        call = "".join(text for segment, text in out if segment == "call")
        assert chat.tools.parse(call, [TOOL]) == [{"name": "weather", "arguments": {"city": "Rome"}}], name


# Templates are programs


def test_what_templates_are_given() -> None:
    source = (
        "{{ bos_token }}{{ eos_token }}{{ strftime_now('%Y') | length }}{% generation %}g{% endgeneration %}"
        "{% for i in range(9) %}{% if i == 1 %}{% continue %}{% elif i == 3 %}{% break %}{% endif %}{{ i }}{% endfor %}"
        "{{ {'b': 'é<', 'a': 1} | tojson }}{{ [1] | tojson(indent=2) }}{{ messages[0].content }}"
    )
    assert rendered(source, HELLO) == '<s></s>4g02{"b": "é<", "a": 1}[\n  1\n]Hello'


@pytest.mark.parametrize(
    "source",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ messages.append(1) }}",
        "{{ cycler.__init__.__globals__ }}",
        "{% include 'secrets' %}{{ 1 }}",
    ],
)
def test_templates_cannot_leave_their_sandbox(source: str) -> None:
    with pytest.raises(ParameterError, match="refuses"):
        rendered(source + "{{ messages[0].content }}", HELLO)


@pytest.mark.parametrize(
    ("source", "why"),
    [
        (
            "{% set x = range(99999) %}{% for a in x %}{% for b in x %}{% if a %}{% endif %}{% endfor %}{% endfor %}",
            "does not come to an end",
        ),
        ("{% for a in range(99999) %}{% for b in range(99999) %}{{ a }}{% endfor %}{% endfor %}", "without end"),
        ("{{ 'a' * 10 ** 10 }}", "too large"),
        ("{{ [1] * 10 ** 10 }}", "too large"),
        ("{{ 10 ** 100000000 }}", "too large"),
    ],
)
def test_templates_without_end_are_given_up(monkeypatch: pytest.MonkeyPatch, source: str, why: str) -> None:
    monkeypatch.setattr(sandbox, "SECONDS", 0.2 if "come" in why else 60)
    monkeypatch.setattr(sandbox, "CHARACTERS", 100_000)
    given_up = template(source)
    assert given_up.origin == "plain"
    assert why in given_up.problem
    late = template("{% if 'loop' in messages[-1].content %}" + source + "{% endif %}{{ messages[-1].content }}")
    assert late.render([HELLO], "auto") == "Hello"
    with pytest.raises(ParameterError, match=why):
        late.render([{"role": "user", "content": "loop"}], "auto")
