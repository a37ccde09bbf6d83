"""Which Bedrock ids may be asked of which region: never across a border in silence."""

import pytest

from llmauth.providers.inference_profiles import foundation, geography, serves

CLAUDE = "anthropic.claude-sonnet-4-5-20250929-v1:0"


@pytest.mark.parametrize(
    ("region", "model", "expected"),
    [
        ("us-east-1", f"us.{CLAUDE}", True),
        ("eu-west-1", f"us.{CLAUDE}", False),
        ("us-west-2", f"eu.{CLAUDE}", False),
        ("eu-central-1", f"eu.{CLAUDE}", True),
        ("ap-southeast-2", f"apac.{CLAUDE}", True),
        ("ap-southeast-2", f"au.{CLAUDE}", True),
        ("ap-northeast-1", f"au.{CLAUDE}", False),
        ("us-gov-west-1", f"us.{CLAUDE}", False),
        ("us-gov-west-1", f"us-gov.{CLAUDE}", True),
        ("us-east-1", f"us-gov.{CLAUDE}", False),
        ("eu-west-1", f"global.{CLAUDE}", True),
        ("eu-west-1", CLAUDE, True),
        ("us-east-1", "arn:aws:bedrock:us-east-1:111122223333:inference-profile/us.anthropic.claude", True),
        ("eu-west-1", "arn:aws:bedrock:us-east-1:111122223333:inference-profile/us.anthropic.claude", False),
        (None, f"us.{CLAUDE}", True),
    ],
)
def test_a_profile_belongs_to_its_geography(region, model, expected):
    assert serves(region, model) is expected


@pytest.mark.parametrize(
    ("region", "prefix"),
    [
        ("us-east-1", "us"),
        ("us-gov-east-1", "us-gov"),
        ("eu-north-1", "eu"),
        ("ap-south-1", "apac"),
        ("sa-east-1", None),
    ],
)
def test_the_prefix_of_a_region(region, prefix):
    assert geography(region) == prefix


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (f"us.{CLAUDE}", CLAUDE),
        (f"us-gov.{CLAUDE}", CLAUDE),
        (f"global.{CLAUDE}", CLAUDE),
        (CLAUDE, CLAUDE),
        (f"arn:aws:bedrock:us-east-1:111122223333:inference-profile/us.{CLAUDE}", CLAUDE),
        (
            f"arn:aws:bedrock:us-east-1::foundation-model/{CLAUDE}",
            f"arn:aws:bedrock:us-east-1::foundation-model/{CLAUDE}",
        ),
        (
            "arn:aws:bedrock:us-east-1:111122223333:application-inference-profile/claude1",
            "arn:aws:bedrock:us-east-1:111122223333:application-inference-profile/claude1",
        ),
    ],
)
def test_a_profile_leads_to_a_model(model, expected):
    assert foundation(model) == expected
