"""Tools, choice, form and thinking."""

import pytest

from llmauth.chat.messages import Choose, JsonObject, JsonSchema, Named, Reasoning, Tool
from llmauth.codecs.reading import Malformed, Node
from llmauth.codecs.responses import options
from llmauth.errors import UnsupportedParameter

F, G = Tool("f"), Tool("g")


def test_functions():
    body = Node(
        {"tools": [{"type": "function", "name": "f", "description": "d", "parameters": {"a": 1}, "strict": True}]}
    )
    assert options.tools(body) == (Tool("f", "d", {"a": 1}, True),)
    assert options.tools(Node({"tools": [{"type": "function", "name": "f", "parameters": None}]})) == (F,)
    assert options.tools(Node({"tools": None})) == ()


@pytest.mark.parametrize(
    "kind",
    [
        "web_search",
        "web_search_preview",
        "file_search",
        "computer_use_preview",
        "mcp",
        "code_interpreter",
        "image_generation",
        "local_shell",
        "shell",
        "custom",
        "apply_patch",
        "namespace",
        "tool_search",
        "made_up",
    ],
)
def test_tools_that_openai_runs_are_refused_by_name(kind):
    with pytest.raises(UnsupportedParameter, match=f"'{kind}'") as caught:
        options.tools(Node({"tools": [{"type": "function", "name": "f"}, {"type": kind, "name": "x"}]}))
    assert caught.value.param == "tools[1].type"


@pytest.mark.parametrize(
    ("tool", "place"),
    [
        ({"type": "function"}, "tools[0].name"),
        ({"type": "function", "name": ""}, "tools[0].name"),
        ({"type": "function", "name": "f", "parameters": "{}"}, "tools[0].parameters"),
        ({"type": "function", "name": "f", "strict": "yes"}, "tools[0].strict"),
        ({"type": "function", "name": "f", "description": 5}, "tools[0].description"),
        ({"name": "f"}, "tools[0].type"),
    ],
)
def test_what_is_no_tool_is_named(tool, place):
    with pytest.raises(Malformed) as caught:
        options.tools(Node({"tools": [tool]}))
    assert caught.value.place == place


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (None, (None, (F, G))),
        ("auto", (Choose.AUTO, (F, G))),
        ("none", (Choose.NONE, (F, G))),
        ("required", (Choose.REQUIRED, (F, G))),
        ({"type": "function", "name": "g"}, (Named("g"), (F, G))),
        (
            {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "g"}]},
            (Choose.REQUIRED, (G,)),
        ),
        ({"type": "allowed_tools", "mode": "auto", "tools": []}, (None, ())),
    ],
)
def test_choices(choice, expected):
    assert options.chosen(Node({"tool_choice": choice}), (F, G)) == expected


@pytest.mark.parametrize("choice", ["auto", "none"])
def test_without_tools_there_is_nothing_to_choose(choice):
    assert options.chosen(Node({"tool_choice": choice}), ()) == (None, ())


@pytest.mark.parametrize(
    ("choice", "place"),
    [
        ("any", "tool_choice"),
        (5, "tool_choice"),
        ({"type": "function"}, "tool_choice.name"),
        ({"type": "function", "name": "h"}, "tool_choice.name"),
        ({"type": "allowed_tools", "mode": "none", "tools": []}, "tool_choice.mode"),
        ({"type": "allowed_tools", "mode": "required", "tools": []}, "tool_choice.mode"),
        (
            {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "h"}]},
            "tool_choice.tools[0].name",
        ),
    ],
)
def test_what_is_no_choice_is_named(choice, place):
    with pytest.raises(Malformed) as caught:
        options.chosen(Node({"tool_choice": choice}), (F, G))
    assert caught.value.place == place


def test_required_needs_tools():
    with pytest.raises(Malformed, match="needs tools"):
        options.chosen(Node({"tool_choice": "required"}), ())


@pytest.mark.parametrize(
    "choice",
    [
        {"type": "web_search_preview"},
        {"type": "mcp", "server_label": "x"},
        {"type": "custom", "name": "x"},
        {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "mcp", "server_label": "x"}]},
    ],
)
def test_choices_of_openai_s_tools_are_refused(choice):
    with pytest.raises(UnsupportedParameter):
        options.chosen(Node({"tool_choice": choice}), (F,))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, None),
        ({}, None),
        ({"format": None}, None),
        ({"format": {"type": "text"}}, None),
        ({"format": {"type": "json_object"}}, JsonObject()),
        (
            {"format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}, "description": "d"}},
            JsonSchema({"type": "object"}, "n", "d"),
        ),
    ],
)
def test_forms(text, expected):
    assert options.form(Node({"text": text})) == expected


@pytest.mark.parametrize(
    ("wanted", "place"),
    [
        ({"type": "grammar"}, "text.format.type"),
        ({}, "text.format.type"),
        ({"type": "json_schema", "name": "n"}, "text.format.schema"),
        ({"type": "json_schema", "schema": {}}, "text.format.name"),
        ({"type": "json_schema", "json_schema": {"name": "n", "schema": {}}}, "text.format.schema"),
    ],
)
def test_what_is_no_form_is_named(wanted, place):
    with pytest.raises(Malformed) as caught:
        options.form(Node({"text": {"format": wanted}}))
    assert caught.value.place == place


@pytest.mark.parametrize(
    ("wanted", "encrypted", "expected"),
    [
        (None, True, None),
        ({}, True, None),
        ({"effort": None, "summary": None}, False, None),
        ({"effort": "high"}, False, Reasoning("high")),
        ({"effort": "high"}, True, Reasoning("high", shown=True)),
        ({"summary": "auto"}, False, Reasoning(shown=True)),
        ({"effort": "none", "generate_summary": "concise"}, False, Reasoning("none", shown=True)),
    ],
)
def test_reasoning(wanted, encrypted, expected):
    assert options.reasoning(Node({"reasoning": wanted}), encrypted=encrypted) == expected


@pytest.mark.parametrize("wanted", [{"effort": "extreme"}, {"summary": "long"}, {"effort": 5}, "high"])
def test_what_is_no_reasoning_is_refused(wanted):
    with pytest.raises(Malformed, match="reasoning"):
        options.reasoning(Node({"reasoning": wanted}), encrypted=False)


def test_what_has_no_word_is_told():
    body = Node(
        {
            "tools": [{"type": "function", "name": "f", "defer_loading": True, "output_schema": None}],
            "reasoning": {"effort": "low", "mode": "pro"},
            "text": {"verbosity": "low", "tone": "warm"},
        }
    )
    assert list(options.unknown(body)) == ["tools.defer_loading", "reasoning.mode", "text.tone"]
