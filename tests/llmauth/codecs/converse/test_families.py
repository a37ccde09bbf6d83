"""Families of models, told by every form of an id."""

import pytest

from llmauth.codecs.converse.families import Kind, family_of

ARN = "arn:aws:bedrock:us-east-1"


@pytest.mark.parametrize(
    ("model", "kind", "origin"),
    [
        ("anthropic.claude-3-haiku-20240307-v1:0", Kind.CLAUDE, "anthropic"),
        ("us-gov.anthropic.claude-sonnet-4-5-20250929-v1:0", Kind.CLAUDE, "anthropic"),
        (f"{ARN}::foundation-model/anthropic.claude-opus-4-8", Kind.CLAUDE, "anthropic"),
        (f"{ARN}:123456789012:inference-profile/eu.anthropic.claude-opus-4-8", Kind.CLAUDE, "anthropic"),
        ("amazon.nova-pro-v1:0", Kind.NOVA, "bedrock"),
        ("us.amazon.nova-2-lite-v1:0", Kind.NOVA_2, "bedrock"),
        (f"{ARN}::foundation-model/amazon.nova-2-lite-v1:0", Kind.NOVA_2, "bedrock"),
        ("openai.gpt-oss-120b-1:0", Kind.GPT_OSS, "bedrock"),
        ("us.meta.llama3-3-70b-instruct-v1:0", Kind.OTHER, "bedrock"),
        (f"{ARN}:123456789012:application-inference-profile/abc123", Kind.OTHER, "bedrock"),
        ("acme.notamazon.nova-lookalike", Kind.OTHER, "bedrock"),
    ],
)
def test_by_id(model, kind, origin):
    family = family_of(model)
    assert (family.kind, family.origin) == (kind, origin)
    assert (family.traits is not None) == (kind is Kind.CLAUDE)


@pytest.mark.parametrize(
    ("model", "by_tool"),
    [
        ("anthropic.claude-3-haiku-20240307-v1:0", True),
        ("anthropic.claude-sonnet-4-5-20250929-v1:0", False),
        ("amazon.nova-pro-v1:0", True),
        ("us.amazon.nova-2-lite-v1:0", True),
        ("qwen.qwen3-32b-v1:0", False),
    ],
)
def test_who_fits_a_schema_by_a_tool(model, by_tool):
    assert family_of(model).schema_by_tool is by_tool
