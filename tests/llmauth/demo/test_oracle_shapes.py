"""The tables of Oracle's requests, held to what the official SDK writes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llmauth.demo.emulators import Emulators
from llmauth.demo.oracle_shapes import apply_guardrails, chat, embed_text
from llmauth.demo.oracle_turns import check_turns
from llmauth.demo.shapes import Mismatch

WRITTEN = """
import json
from oci.base_client import BaseClient
from oci.generative_ai_inference import models as m

serving = m.OnDemandServingMode(model_id="x")
tool = m.FunctionDefinition(type="FUNCTION", name="f", description="d", parameters={"type": "object"})
call = m.FunctionCall(id="1", type="FUNCTION", name="f", arguments="{}")
turns = [
    m.SystemMessage(content=[m.TextContent(text="s")]),
    m.UserMessage(content=[m.TextContent(text="u"), m.ImageContent(image_url=m.ImageUrl(url="data:x", detail="LOW"))]),
    m.AssistantMessage(tool_calls=[call]),
    m.ToolMessage(content=[m.TextContent(text="r")], tool_call_id="1"),
]
generic = m.GenericChatRequest(
    messages=turns, is_stream=True, stream_options=m.StreamOptions(is_include_usage=True), max_tokens=10, temperature=1,
    top_p=0.5, top_k=3, frequency_penalty=0, presence_penalty=0, seed=1, stop=["x"], num_generations=1, log_probs=1,
    tools=[tool], tool_choice=m.ToolChoiceFunction(name="f"), is_parallel_tool_calls=True, reasoning_effort="LOW",
    response_format=m.JsonSchemaResponseFormat(json_schema=m.ResponseJsonSchema(name="n", schema={})),
)
definition = m.CohereParameterDefinition(type="str", description="d", is_required=True)
cohere_tool = m.CohereTool(name="f", description="d", parameter_definitions={"p": definition})
cohere_call = m.CohereToolCall(name="f", parameters={})
cohere = m.CohereChatRequest(
    message="m", chat_history=[m.CohereUserMessage(message="u"), m.CohereChatBotMessage(tool_calls=[cohere_call])],
    preamble_override="p", tools=[cohere_tool], is_force_single_step=True, stop_sequences=["x"], safety_mode="OFF",
    tool_results=[m.CohereToolResult(call=cohere_call, outputs=[{}])], documents=[{"a": "b"}], is_stream=True,
    max_tokens=5, response_format=m.CohereResponseJsonFormat(schema={"type": "object"}),
)
v2_call = m.CohereToolCallV2(id="1", type="FUNCTION", function={"name": "f", "arguments": "{}"})
v2_text = m.CohereTextContentV2(text="t")
v2_image = m.CohereImageContentV2(image_url=m.CohereImageUrlV2(url="data:x", detail="LOW"))
v2 = m.CohereChatRequestV2(
    messages=[
        m.CohereSystemMessageV2(content=[v2_text]), m.CohereUserMessageV2(content=[v2_text, v2_image]),
        m.CohereAssistantMessageV2(content=[m.CohereThinkingContentV2(thinking="hm")], tool_calls=[v2_call]),
        m.CohereToolMessageV2(content=[v2_text], tool_call_id="1"),
    ],
    tools=[m.CohereToolV2(type="FUNCTION", function=m.Function(name="f", description="d", parameters={}))],
    tools_choice="REQUIRED", thinking=m.CohereThinkingV2(type="ENABLED", token_budget=100), max_tokens=200, top_k=3,
    is_strict_tools_enabled=True, is_log_probs_enabled=False, stop_sequences=["x"], safety_mode="OFF", is_stream=True,
    stream_options=m.StreamOptions(is_include_usage=True), response_format=m.CohereResponseTextFormat(),
)
given = dict(compartment_id="c", serving_mode=serving)
embed = m.EmbedTextDetails(inputs=["a"], truncate="END", input_type="SEARCH_QUERY", **given)
client = BaseClient.__new__(BaseClient)
client.complex_type_mappings = m.generative_ai_inference_type_mapping
write = client.sanitize_for_serialization
result = {
    "generic": write(m.ChatDetails(chat_request=generic, **given)),
    "cohere": write(m.ChatDetails(chat_request=cohere, **given)),
    "v2": write(m.ChatDetails(chat_request=v2, **given)),
    "embed": write(embed),
}
"""


def test_what_the_official_sdk_writes_is_accepted(emulators: Emulators, cloud_clients: Any) -> None:
    written = cloud_clients.run(emulators, WRITTEN)
    assert written["generic"]["chatRequest"]["apiFormat"] == "GENERIC"
    assert len(json.dumps(written["generic"])) > 900
    assert written["v2"]["chatRequest"]["apiFormat"] == "COHEREV2"
    for name in ("generic", "cohere", "v2"):
        chat(written[name])
        check_turns(written[name]["chatRequest"])
    embed_text(written["embed"])


@pytest.mark.parametrize(
    ("check", "body", "path"),
    [
        (chat, {"compartmentId": "c", "servingMode": {}}, "chatRequest"),
        (embed_text, {"compartmentId": "c", "inputs": []}, "servingMode"),
        (apply_guardrails, {"compartmentId": "c", "input": {}}, "guardrailConfigs"),
    ],
)
def test_what_is_missing_is_named(check: Any, body: dict[str, Any], path: str) -> None:
    with pytest.raises(Mismatch) as caught:
        check(body)
    assert caught.value.path == path
