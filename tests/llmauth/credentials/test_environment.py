"""Environment variables as a source of credentials."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from llmauth.credentials.environment import EnvironmentOptions, EnvironmentStrategy
from llmauth.secrets import ApiKey, AwsKeys, BearerToken, Secret
from llmauth.sources import SourceFailed, SourceUnavailable


def strategy(standing, provider, environ, variable=None) -> EnvironmentStrategy:
    return EnvironmentStrategy(EnvironmentOptions(variable=variable), standing(provider, environ))


def test_a_named_variable(standing) -> None:
    loaded = strategy(standing, "openai", {"MY_KEY": "sk-1"}, "MY_KEY").load()
    assert loaded.credential == ApiKey(value=Secret("sk-1"))
    assert loaded.source == "environment variable MY_KEY"
    assert loaded.expires_at is None


@pytest.mark.parametrize(("provider", "name"), [("openai", "OPENAI_API_KEY"), ("anthropic", "ANTHROPIC_API_KEY")])
def test_each_type_has_its_own_variable(standing, provider, name) -> None:
    assert strategy(standing, provider, {name: "sk-2"}).load().credential == ApiKey(value=Secret("sk-2"))


def test_an_unset_variable_is_unavailable(standing) -> None:
    with pytest.raises(SourceUnavailable, match="OPENAI_API_KEY is not set"):
        strategy(standing, "openai", {}).load()


def test_an_empty_variable_is_a_failure(standing) -> None:
    with pytest.raises(SourceFailed, match="OPENAI_API_KEY: it is empty"):
        strategy(standing, "openai", {"OPENAI_API_KEY": ""}).load()


@pytest.mark.parametrize(
    ("provider", "key", "token"),
    [
        ("azure", "AZURE_OPENAI_API_KEY", "AZURE_OPENAI_AD_TOKEN"),
        ("vertex", "GOOGLE_API_KEY", "GOOGLE_OAUTH_ACCESS_TOKEN"),
    ],
)
def test_a_key_and_a_token_have_a_variable_each(standing, provider, key, token) -> None:
    assert strategy(standing, provider, {key: "k-1"}).load().credential == ApiKey(value=Secret("k-1"))
    loaded = strategy(standing, provider, {token: "t-1", key: ""}).load()
    assert loaded.credential == BearerToken(value=Secret("t-1"))
    assert loaded.source == f"environment variable {token}"
    with pytest.raises(SourceUnavailable, match=f"neither of the environment variables {key} and {token}"):
        strategy(standing, provider, {}).load()
    with pytest.raises(SourceFailed, match=f"{key}: its field api_key is empty"):
        strategy(standing, provider, {key: ""}).load()
    with pytest.raises(SourceFailed, match="both api_key and token") as caught:
        strategy(standing, provider, {key: "k-1", token: "t-1"}).load()
    assert "k-1" not in caught.value.reason


def test_ibm_has_two_names_for_one_key(standing) -> None:
    both = {"WATSONX_APIKEY": "k-1", "IBM_CLOUD_API_KEY": "k-2"}
    assert strategy(standing, "ibm", both).load().credential == ApiKey(value=Secret("k-1"))
    assert (
        strategy(standing, "ibm", {"IBM_CLOUD_API_KEY": "k-2"}).load().source
        == "environment variable IBM_CLOUD_API_KEY"
    )
    with pytest.raises(SourceUnavailable, match="WATSONX_APIKEY is not set"):
        strategy(standing, "ibm", {}).load()
    with pytest.raises(SourceFailed, match="WATSONX_APIKEY: it is empty"):
        strategy(standing, "ibm", both | {"WATSONX_APIKEY": ""}).load()


AWS = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "s3cret"}


def test_standard_aws_variables(standing) -> None:
    loaded = strategy(standing, "bedrock", AWS | {"AWS_SESSION_TOKEN": "tok", "AWS_BEARER_TOKEN_BEDROCK": "b"}).load()
    assert loaded.credential == AwsKeys(
        access_key_id="AKIDEXAMPLE", secret_access_key=Secret("s3cret"), session_token=Secret("tok")
    )


def test_an_empty_session_token_is_none(standing) -> None:
    loaded = strategy(standing, "bedrock", AWS | {"AWS_SESSION_TOKEN": ""}).load()
    assert isinstance(loaded.credential, AwsKeys)
    assert loaded.credential.session_token is None


def test_exported_keys_carry_their_end(standing) -> None:
    environ = AWS | {"AWS_CREDENTIAL_EXPIRATION": "2027-01-15T08:00:00+00:00"}
    assert strategy(standing, "bedrock", environ).load().expires_at == 1_800_000_000
    with pytest.raises(SourceFailed, match="ISO 8601"):
        strategy(standing, "bedrock", AWS | {"AWS_CREDENTIAL_EXPIRATION": "soon"}).load()


def test_a_bedrock_api_key_where_there_is_no_key_pair(standing) -> None:
    loaded = strategy(standing, "bedrock", {"AWS_BEARER_TOKEN_BEDROCK": "ABSKx"}).load()
    assert loaded.credential == BearerToken(value=Secret("ABSKx"))


@pytest.mark.parametrize(
    ("environ", "missing"),
    [
        ({"AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": ""}, "AWS_SECRET_ACCESS_KEY"),
        ({"AWS_ACCESS_KEY_ID": "AKID", "AWS_BEARER_TOKEN_BEDROCK": "b"}, "AWS_SECRET_ACCESS_KEY"),
        ({"AWS_SECRET_ACCESS_KEY": "s"}, "AWS_ACCESS_KEY_ID"),
    ],
)
def test_half_a_pair_is_a_clear_failure(standing, environ, missing) -> None:
    with pytest.raises(SourceFailed, match=f"{missing} is empty or not set"):
        strategy(standing, "bedrock", environ).load()


def test_nothing_for_bedrock(standing) -> None:
    with pytest.raises(SourceUnavailable, match="AWS_BEARER_TOKEN_BEDROCK is not set"):
        strategy(standing, "bedrock", {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}).load()


def test_a_key_in_place_of_a_name_is_refused() -> None:
    with pytest.raises(ValidationError):
        EnvironmentOptions(variable="sk-live-123")
