"""The conventions' own words for providers and operations."""

import pytest

from llmauth.context import EnvelopeRoute, Routed, Target, advance
from llmauth.providers import HANDLERS
from llmauth.telemetry.otlp import words
from tests.fixtures.outcomes import KNOWN, routed, spoken


def test_every_type_of_instance_has_its_word():
    named = {kind: words.provider(kind) for kind in HANDLERS}
    assert named == {
        "bedrock": "aws.bedrock",
        "openai": "openai",
        "openai_compatible": "openai_compatible",
        "anthropic": "anthropic",
        "azure": "azure.ai.openai",
        "vertex": "gcp.vertex_ai",
        "ibm": "ibm.watsonx.ai",
        "oracle": "oracle.oci",
    }


@pytest.mark.parametrize(
    ("path", "operation"),
    [
        ("/v1/chat/completions", "chat"),
        ("/v1/responses?x=1", "chat"),
        ("/v1/messages", "chat"),
        ("/model/anthropic.claude-v1%3A0/converse-stream", "chat"),
        ("/ml/v1/text/chat_stream?version=1", "chat"),
        ("/20231130/actions/chat", "chat"),
        ("/v1/projects/p/locations/l/publishers/google/models/gemini:streamGenerateContent", "generate_content"),
        ("/v1/embeddings", "embeddings"),
        ("/20231130/actions/embedText", "embeddings"),
        ("/model/amazon.titan/invoke", "text_completion"),
        ("/v1/completions", "text_completion"),
        ("/v1/files", None),
        ("/v1/messages/count_tokens", None),
    ],
)
def test_an_operation_is_told_by_the_end_of_the_path(path, operation):
    assert words.operation(routed(path), "POST") == operation
    assert words.operation(routed(path), "GET") is None


@pytest.mark.parametrize(
    ("operation", "word"),
    [("chat", "chat"), ("messages", "chat"), ("responses", "chat"), ("embeddings", "embeddings"), ("models", None)],
)
def test_protocol_mode_knows_its_operation(operation, word):
    assert words.operation(spoken(operation), "POST") == word


def test_an_envelope_asks_a_model():
    target = Target(instance="b", provider="bedrock")
    context = advance(KNOWN, Routed, route=EnvelopeRoute(path="/x", stream=False), target=target)
    assert words.operation(context, "POST") == "text_completion"


def test_a_method_that_nobody_knows_is_other():
    assert [words.http_method(one) for one in ("POST", "EVIL\n")] == ["POST", "_OTHER"]


def test_bounds_rise():
    for bounds in (words.TOKENS, words.SECONDS, words.FIRST_TOKEN):
        assert list(bounds) == sorted(set(bounds))
