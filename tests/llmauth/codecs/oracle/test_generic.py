"""Requests in Oracle's GENERIC format, beside the golden ones."""

import json

import pytest

from llmauth.chat.messages import (
    Audio,
    ChatRequest,
    Data,
    Document,
    Image,
    Link,
    Message,
    Reasoning,
    Refusal,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
)
from llmauth.chat.words import Word
from llmauth.codecs.oracle.codec import OracleProvider
from llmauth.demo.oracle_shapes import chat as emulated_chat
from llmauth.errors import BadRequest, UnsupportedParameter
from tests.golden.cases import PNG, asked, assistant, user


def rendered(request: ChatRequest, model: str = "xai.grok-4") -> dict:
    envelope = json.loads(OracleProvider(model, "ocid1.compartment.oc1..a").render_request(request).body)
    emulated_chat(envelope)
    return envelope["chatRequest"]


@pytest.mark.parametrize(
    ("word", "value", "sent"),
    [
        (Word.TOP_K, 5, {"topK": 5}),
        (Word.SEED, 7, {"seed": 7}),
        (Word.N, 2, {"numGenerations": 2}),
        (Word.PRESENCE_PENALTY, -1.5, {"presencePenalty": -1.5}),
        (Word.FREQUENCY_PENALTY, 0.5, {"frequencyPenalty": 0.5}),
        (Word.LOGIT_BIAS, {"6395": 2}, {"logitBias": {"6395": 2}}),
        (Word.LOGPROBS, True, {"logProbs": 1}),
        (Word.TOP_LOGPROBS, 0, {"logProbs": 1}),
        (Word.TOP_LOGPROBS, 5, {"logProbs": 5}),
        (Word.METADATA, {"a": "b"}, {"metadata": {"a": "b"}}),
        (Word.SERVICE_TIER, "priority", {"serviceTier": "PRIORITY"}),
        (Word.VERBOSITY, "low", {"verbosity": "LOW"}),
        (Word.PARALLEL_TOOL_CALLS, False, {"isParallelToolCalls": False}),
        (
            Word.PREDICTION,
            {"type": "content", "content": "x = 1"},
            {"prediction": {"type": "CONTENT", "content": [{"type": "TEXT", "text": "x = 1"}]}},
        ),
        (
            Word.PREDICTION,
            {"type": "content", "content": [{"type": "text", "text": "x"}]},
            {"prediction": {"type": "CONTENT", "content": [{"type": "TEXT", "text": "x"}]}},
        ),
        (
            Word.WEB_SEARCH,
            {"search_context_size": "high", "user_location": {"type": "approximate", "approximate": {"city": "Bern"}}},
            {"webSearchOptions": {"searchContextSize": "HIGH", "userLocation": {"city": "Bern"}}},
        ),
        (Word.WEB_SEARCH, {}, {"webSearchOptions": {}}),
        (Word.USER, "u1", {}),
        (Word.STORE, True, {}),
    ],
)
def test_parameters(word, value, sent):
    told = rendered(asked(user("Hi"), parameters={word: value}))
    assert {name: value for name, value in told.items() if name not in ("apiFormat", "messages")} == sent


@pytest.mark.parametrize("words", [[Word.LOGPROBS, Word.TOP_LOGPROBS], [Word.TOP_LOGPROBS, Word.LOGPROBS]])
def test_the_number_of_probabilities_counts_in_either_order(words):
    values = {Word.LOGPROBS: True, Word.TOP_LOGPROBS: 3}
    assert rendered(asked(user("Hi"), parameters={word: values[word] for word in words}))["logProbs"] == 3


@pytest.mark.parametrize("word", [Word.MODALITIES, Word.AUDIO])
def test_what_changes_the_answer_is_refused(word):
    with pytest.raises(UnsupportedParameter) as caught:
        rendered(asked(user("Hi"), parameters={word: {}}, spelling={word: "as_said"}))
    assert caught.value.param == "as_said"


def test_a_tier_that_oracle_has_not_is_refused():
    with pytest.raises(UnsupportedParameter, match="'flex' is not supported by Oracle"):
        rendered(asked(user("Hi"), parameters={Word.SERVICE_TIER: "flex"}))


@pytest.mark.parametrize(
    ("word", "value"),
    [(Word.PREDICTION, {"content": 5}), (Word.PREDICTION, 1), (Word.WEB_SEARCH, {"search_context_size": "huge"})],
)
def test_what_is_malformed_is_refused_and_named(word, value):
    with pytest.raises(BadRequest) as caught:
        rendered(asked(user("Hi"), parameters={word: value}))
    assert caught.value.param.startswith(word.value)
    assert caught.value.code == "invalid_request"


@pytest.mark.parametrize(("model", "name"), [("openai.gpt-5", "maxCompletionTokens"), ("meta.llama-4", "maxTokens")])
def test_models_of_openai_count_their_thinking(model, name):
    assert rendered(asked(user("Hi"), parameters={Word.MAX_TOKENS: 9}), model)[name] == 9


def test_developers_are_known_to_models_of_openai_alone():
    request = asked(Message("developer", (Text("Be brief."),), name="ops"), user("Hi"))
    content = [{"type": "TEXT", "text": "Be brief."}]
    for model, role in (("openai.gpt-5", "DEVELOPER"), ("meta.llama-4", "SYSTEM")):
        assert rendered(request, model)["messages"][0] == {"role": role, "content": content, "name": "ops"}


@pytest.mark.parametrize(
    ("reasoning", "effort"),
    [
        (Reasoning("none"), "NONE"),
        (Reasoning("minimal"), "MINIMAL"),
        (Reasoning("high"), "HIGH"),
        (Reasoning("xhigh"), "HIGH"),
        (Reasoning("max", 100_000), "HIGH"),
        (Reasoning(budget=500), "MINIMAL"),
        (Reasoning(budget=1024), "LOW"),
        (Reasoning(budget=2048), "MEDIUM"),
        (Reasoning(budget=30_000), "HIGH"),
        (Reasoning(), None),
    ],
)
def test_effort(reasoning, effort):
    assert rendered(asked(user("Hi"), reasoning=reasoning)).get("reasoningEffort") == effort


def image(**url: str) -> dict:
    return {"type": "IMAGE", "imageUrl": url}


def document(url: str) -> dict:
    return {"type": "DOCUMENT", "documentUrl": {"url": url}}


def audio(url: str) -> dict:
    return {"type": "AUDIO", "audioUrl": {"url": url}}


PDF_LINK = "https://a.example/b.pdf"


@pytest.mark.parametrize(
    ("part", "sent"),
    [
        (Image(Data("image/png", PNG), "auto"), image(url=f"data:image/png;base64,{PNG}", detail="AUTO")),
        (Image(Link("https://a.example/b"), "original"), image(url="https://a.example/b")),
        (Document(Link(PDF_LINK)), document(f"data:application/pdf;uri,{PDF_LINK}")),
        (Document(Data("text/plain", "aGk=")), document("data:text/plain;base64,aGk=")),
        (Audio(Data("audio/mpeg", "QUJD")), audio("data:audio/mp3;base64,QUJD")),
        (Audio(Data("audio/wav", "QUJD")), audio("data:audio/wav;base64,QUJD")),
        (Text(""), {"type": "TEXT", "text": ""}),
    ],
)
def test_content(part, sent):
    assert rendered(asked(user(part)))["messages"][0]["content"] == [sent]


def test_the_assistants_turn_holds_what_it_said_and_nothing_empty():
    turn = assistant(Thinking("Hm."), Refusal("No."), "But.", ToolCall("c", "f", ""))
    assert rendered(asked(user("Hi"), turn, user("?")))["messages"][1] == {
        "role": "ASSISTANT",
        "content": [{"type": "TEXT", "text": "But."}],
        "refusal": "No.",
        "reasoningContent": "Hm.",
        "toolCalls": [{"type": "FUNCTION", "id": "c", "name": "f", "arguments": "{}"}],
    }
    assert rendered(asked(user("Hi"), assistant(), user("?")))["messages"][1] == {"role": "ASSISTANT", "content": []}


def test_results_hold_pictures_and_are_never_empty():
    results = (ToolResult("a", (Image(Data("image/png", PNG)),)), ToolResult("b", ()))
    request = asked(user("Hi"), assistant(ToolCall("a", "f", ""), ToolCall("b", "f", "")), Message("tool", results))
    picture, empty = rendered(request)["messages"][2:]
    assert picture["content"][0]["type"] == "IMAGE"
    assert empty == {"role": "TOOL", "toolCallId": "b", "content": [{"type": "TEXT", "text": ""}]}


def test_a_tool_without_a_schema_takes_nothing():
    tools = rendered(asked(user("Hi"), tools=(Tool("now"),)))["tools"]
    assert tools == [{"type": "FUNCTION", "name": "now", "parameters": {"type": "object", "properties": {}}}]
