"""The table of strategies: options from a configuration, and the strategy that they build."""

from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

from llmauth.credentials import StrategyOptions, build, defaults_for, unfit
from llmauth.credentials.base import Surroundings
from llmauth.platform import SimulatedMachine
from llmauth.sources import SourceUnavailable

ADAPTER = TypeAdapter(StrategyOptions)

# The user's own example: it loads as it stands.
EXAMPLE = [
    {"type": "workload_identity", "provider": "aws"},
    {"type": "vault", "backend": "hashicorp", "path": "aws/sts/bedrock-role"},
    {"type": "vault", "backend": "aws_secrets_manager", "secret_name": "bedrock-api-key"},
    {"type": "kubernetes_secret", "secret_name": "bedrock-credentials"},
]


def test_the_users_example_builds() -> None:
    built = [
        build(ADAPTER.validate_python(entry), Surroundings(instance="bedrock_us1", provider="bedrock"))
        for entry in EXAMPLE
    ]
    assert [strategy.label for strategy in built] == [
        "workload_identity (aws)",
        "vault (hashicorp)",
        "vault (aws_secrets_manager)",
        "kubernetes_secret",
    ]


@pytest.mark.parametrize(
    "entry",
    [
        {"type": "environment", "variable": "OPENAI_API_KEY"},
        {"type": "file", "path": "/etc/llmauth/openai-key"},
        {"type": "keyring", "service": "llmauth", "username": "openai"},
        {"type": "aws_profile", "profile": "dev"},
    ],
)
def test_a_label_is_the_type(entry) -> None:
    assert build(ADAPTER.validate_python(entry), Surroundings(provider="bedrock")).label == entry["type"]


@pytest.mark.parametrize(
    "entry",
    [{"type": "magic"}, {"variable": "X"}, {"type": "environment", "varable": "X"}, {"type": "workload_identity"}],
)
def test_what_is_unknown_is_refused(entry) -> None:
    with pytest.raises(ValidationError):
        ADAPTER.validate_python(entry)


def test_options_are_frozen() -> None:
    with pytest.raises(ValidationError):
        ADAPTER.validate_python({"type": "environment"}).variable = "OTHER"


@pytest.mark.parametrize("entry", [{"type": "workload_identity", "provider": "aws"}, {"type": "aws_profile"}])
def test_aws_credentials_are_for_bedrock_alone(entry) -> None:
    options = ADAPTER.validate_python(entry)
    assert unfit(options, "bedrock") is None
    with pytest.raises(ValueError, match="type openai has no use for them"):
        build(options, Surroundings(provider="openai"))


def test_defaults() -> None:
    def labels(provider) -> list[str]:
        return [build(options, Surroundings(provider=provider)).label for options in defaults_for(provider)]

    assert labels("bedrock") == ["environment", "workload_identity (aws)", "aws_profile"]
    assert labels("openai") == labels("anthropic") == ["environment"]
    assert labels("openai_compatible") == []
    clouds = {"azure": "azure", "vertex": "gcp", "oracle": "oci", "ibm": "ibm"}
    for provider, cloud in clouds.items():
        assert labels(provider) == ["environment", f"workload_identity ({cloud})"]


def test_a_clouds_own_identity_is_for_its_own_provider() -> None:
    options = ADAPTER.validate_python({"type": "workload_identity", "provider": "gcp"})
    assert unfit(options, "vertex") is None
    assert (
        unfit(options, "azure") == "this identity is for instances of type vertex; one of type azure has no use for it"
    )


def test_defaults_find_nothing_in_an_empty_environment(tmp_path) -> None:
    environ = {"AWS_CONFIG_FILE": str(tmp_path / "a"), "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "b")}
    environ |= {"AWS_EC2_METADATA_DISABLED": "true"}
    for options in defaults_for("bedrock"):
        with pytest.raises(SourceUnavailable):
            build(options, Surroundings(provider="bedrock", machine=SimulatedMachine(environ))).load()
