"""What the form of a model's id tells of its provider."""

import pytest

from llmauth.routers.patterns import providers_of


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("gpt-4o", "openai"),
        ("gpt-5-mini", "openai"),
        ("o3", "openai"),
        ("o4-mini-2025-04-16", "openai"),
        ("text-embedding-3-small", "openai"),
        ("claude-sonnet-4-5", "anthropic"),
        ("claude-sonnet-4-5@20250929", "vertex"),
        ("gemini-2.5-pro", "vertex"),
        ("text-embedding-005", "vertex"),
        ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", "bedrock"),
        ("anthropic.claude-3-haiku-20240307-v1:0", "bedrock"),
        ("amazon.nova-pro-v1:0", "bedrock"),
        ("arn:aws:bedrock:us-east-1:111122223333:inference-profile/us.anthropic.claude", "bedrock"),
        ("us.meta.llama3-3-70b-instruct-v1:0", "bedrock"),
        ("ibm/granite-3-8b-instruct", "ibm"),
        ("meta-llama/llama-3-3-70b-instruct", "ibm"),
        ("xai.grok-4", "oracle"),
    ],
)
def test_an_id_tells_its_provider(model, expected):
    assert next(providers_of(model)) == expected


@pytest.mark.parametrize(
    "model",
    ["meta.llama-3.3-70b-instruct", "cohere.command-r-plus", "openai.gpt-oss-120b", "gpt-oss-120b", "llama3", ""],
)
def test_an_id_of_two_providers_or_of_none_tells_nothing(model):
    assert list(providers_of(model)) == []
