"""What the tables tell users, tried word by word at every format: sent to that very place, told, or refused by name."""

import json
from collections.abc import Callable, Mapping

import pytest

from llmauth.chat.messages import (
    Audio,
    Cache,
    ChatRequest,
    Choose,
    Data,
    Document,
    Image,
    JsonObject,
    JsonSchema,
    Link,
    Message,
    Named,
    Reasoning,
    Signature,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
)
from llmauth.chat.words import PARAMETERS, Word
from llmauth.codecs.anthropic.codec import AnthropicProvider
from llmauth.codecs.base import ProviderCodec
from llmauth.codecs.converse.codec import ConverseProvider
from llmauth.codecs.gemini.codec import GeminiProvider
from llmauth.codecs.mapping import Dropped, Refused, Sent
from llmauth.codecs.openai.provider import OpenAIProvider
from llmauth.codecs.openai.table import COMPATIBLE, OPENAI
from llmauth.codecs.oracle.codec import OracleProvider
from llmauth.codecs.watsonx.codec import WatsonxProvider
from llmauth.errors import UnsupportedParameter
from tests.golden.cases import PDF, PNG

COMPARTMENT = "ocid1.compartment.oc1..aaaa"
PROVIDERS: Mapping[str, Callable[[], ProviderCodec]] = {
    "openai": lambda: OpenAIProvider("gpt-4o", OPENAI),
    "openai that thinks": lambda: OpenAIProvider("gpt-5", OPENAI),
    "compatible": lambda: OpenAIProvider("llama", COMPATIBLE),
    "claude": lambda: AnthropicProvider("claude-sonnet-4-5"),
    "new claude": lambda: AnthropicProvider("claude-sonnet-5"),
    "old claude": lambda: AnthropicProvider("claude-3-haiku-20240307"),
    "claude on vertex": lambda: AnthropicProvider("claude-sonnet-4-5@20250929", "vertex"),
    "claude on bedrock": lambda: ConverseProvider("anthropic.claude-sonnet-4-5-20250929-v1:0"),
    "old claude on bedrock": lambda: ConverseProvider("anthropic.claude-3-haiku-20240307-v1:0"),
    "nova": lambda: ConverseProvider("amazon.nova-pro-v1:0"),
    "nova 2": lambda: ConverseProvider("amazon.nova-2-lite-v1:0"),
    "llama on bedrock": lambda: ConverseProvider("meta.llama3-70b-instruct-v1:0"),
    "gemini 2.5": lambda: GeminiProvider("gemini-2.5-pro"),
    "gemini 3": lambda: GeminiProvider("gemini-3-pro"),
    "watsonx": lambda: WatsonxProvider("ibm/granite-4-h-small", project_id="p"),
    "llama on oracle": lambda: OracleProvider("meta.llama-3.3-70b-instruct", COMPARTMENT),
    "command a": lambda: OracleProvider("cohere.command-a-03-2025", COMPARTMENT),
    "command a that thinks": lambda: OracleProvider("cohere.command-a-reasoning-08-2025", COMPARTMENT),
    "command r": lambda: OracleProvider("cohere.command-r-plus-08-2024", COMPARTMENT),
}

HI = Message("user", (Text("hi"),))
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
CLOSED = {**SCHEMA, "additionalProperties": False}
TOOL = Tool("look_up", "Looks up.", SCHEMA)
CALLS = Message("assistant", (ToolCall("call_1", "look_up", '{"city": "Paris"}'),))
IMAGE, PAGE = Image(Data("image/png", PNG)), Document(Data("application/pdf", PDF), "page.pdf")

VALUES = {
    Word.MAX_TOKENS: 20_000,
    Word.TEMPERATURE: 0.5,
    Word.TOP_P: 0.5,
    Word.TOP_K: 5,
    Word.STOP: ("END",),
    Word.SEED: 1,
    Word.N: 2,
    Word.PRESENCE_PENALTY: 0.5,
    Word.FREQUENCY_PENALTY: 0.5,
    Word.LOGIT_BIAS: {"1": 1},
    Word.LOGPROBS: True,
    Word.TOP_LOGPROBS: 2,
    Word.USER: "u1",
    Word.METADATA: {"team": "red"},
    Word.SERVICE_TIER: "priority",
    Word.VERBOSITY: "low",
    Word.PARALLEL_TOOL_CALLS: False,
    Word.PREDICTION: {"type": "content", "content": "hi"},
    Word.MODALITIES: ("text", "audio"),
    Word.AUDIO: {"voice": "alloy", "format": "mp3"},
    Word.WEB_SEARCH: {"search_context_size": "low"},
    Word.STORE: True,
    Word.PROMPT_CACHE_KEY: "k",
    Word.PROMPT_CACHE_RETENTION: "24h",
    Word.TRUNCATION: "auto",
}


def chat(*messages, **more):
    parameters = {Word.MAX_TOKENS: 20_000} | more.pop("parameters", {})
    return ChatRequest(model="m", messages=messages or (HI,), parameters=parameters, **more)


def said(*parts):
    return chat(Message("user", (Text("look"), *parts)))


def returned(result):
    return chat(HI, CALLS, Message("tool", (result,)), tools=(TOOL,))


def thought(origin):
    signature = None if origin is None else Signature(origin, "c2lnbmVk")
    # Gemini signs what follows the thinking, the others the thinking itself.
    message = Message("assistant", (Thinking("why", signature), Text("so", signature=signature)))
    return chat(HI, message, HI, reasoning=Reasoning("high"))


FEATURES = {
    Word.SYSTEM: chat(Message("system", (Text("Be brief."),)), HI),
    Word.SYSTEM_LATER: chat(HI, Message("assistant", (Text("yes"),)), Message("system", (Text("Be brief."),)), HI),
    Word.IMAGE_DATA: said(IMAGE),
    Word.IMAGE_URL: said(Image(Link("https://example.org/a.png"))),
    Word.DOCUMENT_DATA: said(PAGE),
    Word.DOCUMENT_URL: said(Document(Link("https://example.org/a.pdf"))),
    Word.AUDIO_INPUT: said(Audio(Data("audio/wav", PDF))),
    Word.TOOLS: chat(tools=(TOOL,)),
    Word.STRICT_TOOLS: chat(tools=(Tool("look_up", "", CLOSED, strict=True),)),
    Word.TOOL_CHOICE_NONE: chat(tools=(TOOL,), tool_choice=Choose.NONE),
    Word.TOOL_CHOICE_REQUIRED: chat(tools=(TOOL,), tool_choice=Choose.REQUIRED),
    Word.TOOL_CHOICE_NAMED: chat(tools=(TOOL,), tool_choice=Named("look_up")),
    Word.TOOL_ERROR: returned(ToolResult("call_1", (Text("broken"),), error=True)),
    Word.TOOL_RESULT_IMAGE: returned(ToolResult("call_1", (IMAGE,))),
    Word.JSON_OBJECT: chat(output=JsonObject()),
    Word.JSON_SCHEMA: chat(output=JsonSchema(CLOSED)),
    Word.REASONING: chat(reasoning=Reasoning("high")),
    Word.CACHE: chat(Message("system", (Text("Be brief." * 500, Cache()),)), HI),
}
OWN = {"claude": "anthropic", "gemini": "gemini"}
COMBINED = {Word.TOP_LOGPROBS: Word.LOGPROBS}


def asking(word, provider):
    """A request that says this word, and no more than must be said with it."""
    if word is Word.THINKING_BACK:
        family = next((origin for name, origin in OWN.items() if name in provider), None)
        return thought("bedrock" if family is None and isinstance(PROVIDERS[provider](), ConverseProvider) else family)
    if word in FEATURES:
        return FEATURES[word]
    beside = {COMBINED[word]: True} if word in COMBINED else {}
    return chat(parameters={**beside, word: VALUES[word]}, tools=(TOOL,) if word is Word.PARALLEL_TOOL_CALLS else ())


def stands(body, steps):
    """Whether these levels lie under each other. Lists are no level; a part may be named by its type."""
    if not steps:
        return True
    if isinstance(body, list):
        return any(stands(item, steps) for item in body)
    if not isinstance(body, dict):
        return False
    step, *rest = steps
    return (step in body and stands(body[step], rest)) or (body.get("type") == step and stands(body, rest))


def anywhere(body, steps):
    if stands(body, steps):
        return True
    below = body.values() if isinstance(body, dict) else body if isinstance(body, list) else ()
    return any(anywhere(item, steps) for item in below)


def test_there_is_a_sample_of_every_word():
    assert set(VALUES) == set(PARAMETERS)
    assert set(FEATURES) | {Word.THINKING_BACK} | set(PARAMETERS) == set(Word)


@pytest.mark.parametrize("word", Word, ids=lambda word: word.name.lower())
@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_word_ends_where_its_table_says(provider, word):
    codec, request = PROVIDERS[provider](), asking(word, provider)
    rule = codec.table[word]
    if isinstance(rule, Refused):
        with pytest.raises(UnsupportedParameter):
            codec.render_request(request)
        return
    asked = codec.render_request(request)
    body, told = json.loads(asked.body), request.named(word) in asked.dropped
    assert told is isinstance(rule, Dropped)
    if isinstance(rule, Sent):
        places = [place.partition(" ")[0].split(".") for place in rule.place.split(", ")]
        found = any(anywhere(body, steps) for steps in places)
        # That no tool may be called is also said by offering none.
        assert found or (word is Word.TOOL_CHOICE_NONE and b"look_up" not in asked.body), rule.place
