"""Requests in Oracle's COHEREV2 format, beside the golden ones."""

import json

import pytest

from llmauth.chat.messages import ChatRequest, Message, Reasoning, Tool, ToolCall, ToolResult
from llmauth.chat.words import Word
from llmauth.codecs.oracle.codec import OracleProvider
from llmauth.errors import UnsupportedParameter
from tests.golden.cases import asked, assistant, user


def rendered(request: ChatRequest, model: str = "cohere.command-a-reasoning-08-2025") -> dict:
    return json.loads(OracleProvider(model, "ocid1.compartment.oc1..a").render_request(request).body)["chatRequest"]


@pytest.mark.parametrize(
    ("reasoning", "most", "thinking"),
    [
        (Reasoning("none"), None, {"type": "DISABLED"}),
        (Reasoning("minimal"), None, {"type": "ENABLED", "tokenBudget": 128}),
        (Reasoning("xhigh"), None, {"type": "ENABLED", "tokenBudget": 16384}),
        (Reasoning("max"), None, {"type": "ENABLED"}),
        (Reasoning(), None, {"type": "ENABLED"}),
        (Reasoning(budget=3000), None, {"type": "ENABLED", "tokenBudget": 3000}),
        (Reasoning("high"), 1000, {"type": "ENABLED", "tokenBudget": 999}),
        (Reasoning("high"), 1, {"type": "ENABLED"}),
    ],
)
def test_thinking_leaves_room_for_the_answer(reasoning, most, thinking):
    parameters = {} if most is None else {Word.MAX_TOKENS: most}
    assert rendered(asked(user("Hi"), reasoning=reasoning, parameters=parameters))["thinking"] == thinking


def test_models_that_do_not_think_are_not_asked_to():
    request = asked(user("Hi"), reasoning=Reasoning("high"))
    codec = OracleProvider("cohere.command-a-03-2025", "ocid1.compartment.oc1..a")
    asked_for = codec.render_request(request)
    assert asked_for.dropped == ("reasoning_effort",)
    assert b"thinking" not in asked_for.body


def test_probabilities_can_be_had_but_not_those_of_other_tokens():
    assert rendered(asked(user("Hi"), parameters={Word.LOGPROBS: True}))["isLogProbsEnabled"] is True
    with pytest.raises(UnsupportedParameter, match="only of the tokens that were chosen"):
        rendered(asked(user("Hi"), parameters={Word.TOP_LOGPROBS: 2}))


def test_empty_things_are_written_as_they_must_be():
    call, result = ToolCall("c", "now", ""), Message("tool", (ToolResult("c", ()),))
    told = rendered(asked(user("Hi"), assistant(call), result, tools=(Tool("now"),)))
    assert told["messages"][1]["toolCalls"][0]["function"] == {"name": "now", "arguments": "{}"}
    assert told["messages"][2]["content"] == [{"type": "TEXT", "text": ""}]
    assert told["tools"][0]["function"]["parameters"] == {"type": "object", "properties": {}}
