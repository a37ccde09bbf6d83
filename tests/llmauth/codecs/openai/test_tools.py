"""Tools, the choice among them, and the format of the answer."""

import pytest

from llmauth.chat.messages import Cache, Choose, JsonObject, JsonSchema, Named, Tool
from llmauth.errors import UnsupportedParameter
from tests.llmauth.codecs.openai.samples import parsed, refused


def tool(name, **members):
    return {"type": "function", "function": {"name": name, **members}}


def allowed(mode, *names):
    return {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": [tool(name) for name in names]}}


def test_a_tool_with_everything():
    told = {
        **tool("f", description="d", parameters={"type": "object"}, strict=True),
        "cache_control": {"type": "ephemeral"},
    }
    assert parsed(tools=[told, tool("g")]).tools == (Tool("f", "d", {"type": "object"}, True, Cache()), Tool("g"))


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (None, None),
        ("auto", Choose.AUTO),
        ("none", Choose.NONE),
        ("required", Choose.REQUIRED),
        ({"type": "function", "function": {"name": "g"}}, Named("g")),
    ],
)
def test_choices(choice, expected):
    assert parsed(tools=[tool("f"), tool("g")], tool_choice=choice).tool_choice == expected


@pytest.mark.parametrize(("mode", "expected"), [("auto", Choose.AUTO), ("required", Choose.REQUIRED)])
def test_only_the_allowed_tools_are_offered(mode, expected):
    request = parsed(tools=[tool("f"), tool("g"), tool("h")], tool_choice=allowed(mode, "h", "f"))
    assert [one.name for one in request.tools] == ["f", "h"]
    assert request.tool_choice is expected


@pytest.mark.parametrize("choice", ["auto", "none"])
def test_without_tools_there_is_nothing_to_choose(choice):
    assert parsed(tool_choice=choice).tool_choice is None


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"tools": [{}]}, "tools[0].type"),
        ({"tools": [tool("")]}, "tools[0].function.name"),
        ({"tools": [tool("f", parameters=[])]}, "tools[0].function.parameters"),
        ({"tools": [tool("f", strict="yes")]}, "tools[0].function.strict"),
        ({"tools": [tool("f")], "functions": []}, "functions"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tools": [tool("f")], "tool_choice": "maybe"}, "tool_choice"),
        ({"tools": [tool("f")], "tool_choice": tool("g")}, "tool_choice"),
        ({"tools": [tool("f")], "tool_choice": {"type": "custom", "custom": {"name": "c"}}}, "tool_choice.type"),
        ({"tools": [tool("f")], "tool_choice": allowed("auto", "g")}, "tool_choice.allowed_tools.tools[0]"),
        ({"tools": [tool("f")], "tool_choice": allowed("auto")}, "tool_choice.allowed_tools"),
        ({"tools": [tool("f")], "tool_choice": allowed("none", "f")}, "tool_choice.allowed_tools.mode"),
        ({"response_format": {"type": "yaml"}}, "response_format.type"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
        ({"response_format": {"type": "json_schema", "json_schema": {}}}, "response_format.json_schema.name"),
    ],
    ids=str,
)
def test_a_fault_is_named_by_its_place(members, param):
    assert refused(**members).param == param


def test_custom_tools_are_refused_by_name():
    error = refused(tools=[{"type": "custom", "custom": {"name": "c"}}])
    assert isinstance(error, UnsupportedParameter)
    assert error.param == "tools[0].type"


@pytest.mark.parametrize(
    ("wanted", "output"),
    [
        ({"type": "text"}, None),
        ({"type": "json_object"}, JsonObject()),
        ({"type": "json_schema", "json_schema": {"name": "n", "strict": None}}, JsonSchema({}, "n")),
        (
            {
                "type": "json_schema",
                "json_schema": {"name": "n", "description": "d", "schema": {"a": 1}, "strict": True},
            },
            JsonSchema({"a": 1}, "n", "d", True),
        ),
    ],
    ids=str,
)
def test_formats(wanted, output):
    assert parsed(response_format=wanted).output == output
