"""Which model ids an endpoint's region takes, and what it lists."""

from __future__ import annotations

import pytest

from llmauth.demo.bedrock_models import Invalid, Model, listed, profiles, resolve

ARN = "arn:aws:bedrock:us-east-1:123456789012:"


@pytest.mark.parametrize(
    ("segment", "model"),
    [
        ("anthropic.claude-3-sonnet-20240229-v1:0", Model("anthropic", "claude-3-sonnet-20240229-v1:0")),
        ("amazon.nova-pro-v1%3A0", Model("amazon", "nova-pro-v1:0")),
        ("us.anthropic.claude-opus-4-8", Model("anthropic", "claude-opus-4-8")),
        ("global.anthropic.claude-opus-4-8", Model("anthropic", "claude-opus-4-8")),
        (
            "arn%3Aaws%3Abedrock%3Aus-east-1%3A%3Afoundation-model%2Famazon.nova-pro-v1%3A0",
            Model("amazon", "nova-pro-v1:0"),
        ),
        (f"{ARN}inference-profile%2Fus.anthropic.claude-opus-4-8", Model("anthropic", "claude-opus-4-8")),
        (f"{ARN}application-inference-profile%2Fabc123", Model("anthropic", "abc123")),
        (f"{ARN}provisioned-model%2Fxyz", Model("anthropic", "xyz")),
    ],
)
def test_resolves(segment: str, model: Model) -> None:
    assert resolve(segment, "us-east-1") == model


@pytest.mark.parametrize(
    "segment",
    [
        "gpt-4o",
        "nobody.model-1",
        "anthropic.",
        "anthropic.Claude",
        "eu.anthropic.claude-opus-4-8",
        "us-gov.anthropic.claude-opus-4-8",
        "zz.anthropic.claude-opus-4-8",
        "arn:aws:bedrock:eu-west-1:123456789012:provisioned-model%2Fxyz",
        f"{ARN}foundation-model%2Famazon.nova-pro-v1:0",
        f"{ARN}unheard-of%2Fxyz",
        "arn:aws:bedrock:us-east-1::provisioned-model%2Fxyz",
        f"{ARN}provisioned-model%2Fa%2Fb",
    ],
)
def test_refuses(segment: str) -> None:
    with pytest.raises(Invalid):
        resolve(segment, "us-east-1")


def test_lists_models_and_profiles_that_it_takes_itself() -> None:
    for region, prefix in (("us-west-2", "us"), ("eu-central-1", "eu"), ("ap-south-1", "apac")):
        names = [profile["inferenceProfileId"] for profile in profiles(region)]
        assert {name.partition(".")[0] for name in names} == {prefix}
        for segment in names + [model["modelId"] for model in listed(region)]:
            assert resolve(segment, region).vendor in ("anthropic", "amazon")
