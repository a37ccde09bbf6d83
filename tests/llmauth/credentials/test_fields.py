"""The fields of a secret, and what no secret may be."""

from __future__ import annotations

import json
import traceback

import pytest

from llmauth.context import ProviderType
from llmauth.credentials.fields import credential_at, credential_from, field_name
from llmauth.secrets import ApiKey, AwsKeys, BearerToken, Secret
from llmauth.sources import SourceFailed

KEY = "sk-live-0123456789"


@pytest.mark.parametrize(
    ("provider", "kind"),
    [("openai", ApiKey), ("anthropic", ApiKey), ("azure", ApiKey), ("bedrock", BearerToken), ("vertex", BearerToken)],
)
def test_one_string_is_the_key_or_token(provider: ProviderType, kind: type[ApiKey] | type[BearerToken]) -> None:
    assert credential_from(KEY + "\n", provider) == kind(value=Secret(KEY))


@pytest.mark.parametrize("name", ["api_key", "API_KEY", "token", "apikey"])
def test_a_key_by_its_field(name: str) -> None:
    assert credential_from({name: Secret(KEY + "\r\n"), "note": Secret("")}, "openai") == ApiKey(value=Secret(KEY))


def test_azure_tells_its_key_from_a_token() -> None:
    assert credential_from({"token": Secret(KEY)}, "azure") == BearerToken(value=Secret(KEY))


@pytest.mark.parametrize(
    ("text", "provider", "kind"),
    [
        ("eyJ0eXAi.eyJhdWQi.c2ln", "azure", BearerToken),
        ("0" * 32, "azure", ApiKey),
        ("ya29.a0AfH6SM-x_y", "vertex", BearerToken),
        ("AIza" + "x" * 35, "vertex", ApiKey),
        ("AQ.Ab8RN6" + "x" * 30, "vertex", ApiKey),
        ('{"api_key": "k-0123456789"}', "vertex", ApiKey),
        ('{"token": "k-0123456789"}', "vertex", BearerToken),
    ],
)
def test_a_key_is_told_from_a_token_by_its_field_or_by_its_form(text, provider, kind) -> None:
    assert isinstance(credential_from(text, provider), kind)


@pytest.mark.parametrize("prefix", ["", "aws_", "AWS_"])
def test_aws_keys_in_any_spelling(prefix: str) -> None:
    text = json.dumps({f"{prefix}access_key_id": "AKIDEXAMPLE", f"{prefix}Secret_Access_Key": "s3cr/et+\n"})
    found = credential_from(text, "bedrock")
    assert found == AwsKeys(access_key_id="AKIDEXAMPLE", secret_access_key=Secret("s3cr/et+"))


def test_a_session_token_comes_along() -> None:
    fields = {"access_key_id": Secret("ASIA1"), "secret_access_key": Secret("s"), "session_token": Secret("t==")}
    found = credential_from(fields, "bedrock")
    assert isinstance(found, AwsKeys)
    assert found.session_token == Secret("t==")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        ("\n", "empty"),
        ("sk-löwe", "beyond ASCII"),
        ("sk-a\nX-Evil: 1", "control character"),
        ("sk a", "blank"),
        ("sk-\x7f", "control character"),
        ('"sk-abc"', "quotation marks"),
        ("<your-key>", "placeholder"),
        ("${OPENAI_API_KEY}", "placeholder"),
        ("CHANGE_ME", "placeholder"),
        ("your-api-key", "placeholder"),
        ('{"api_key": "sk-abc"', "JSON object"),
        ("{" + '"a":{' * 30_000, "JSON object"),
        ('{"api_key": 7}', "no string"),
        ('{"api_key": "a", "API_KEY": "b"}', "two spellings"),
        ('{"api_key": "a", "api_key": "b"}', "twice"),
        ('{"api_key": "a", "token": "b"}', "both api_key and token"),
        ('{"api_key": ""}', "api_key is empty"),
        ('{"password": "a"}', "no field of a name"),
        ('{"access_key_id": "a", "secret_access_key": "b"}', "type openai"),
    ],
)
def test_what_is_no_key_is_refused(text: str, reason: str) -> None:
    with pytest.raises(SourceFailed, match=reason):
        credential_from(text, "openai")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"access_key_id": "AKIA1"}', "without secret_access_key"),
        ('{"secret_access_key": "s"}', "without access_key_id"),
        ('{"access_key_id": "a", "secret_access_key": "b", "session_token": ""}', "session_token is empty"),
        ('{"access_key_id": "a", "secret_access_key": "b", "api_key": "c"}', "both a key and an AWS key pair"),
        ("AKIAIOSFODNN7EXAMPLE", "access key id alone"),
    ],
)
def test_half_an_aws_key_is_refused(text: str, reason: str) -> None:
    with pytest.raises(SourceFailed, match=reason):
        credential_from(text, "bedrock")


def test_ibm_tells_its_key_from_a_token() -> None:
    assert credential_from({"token": Secret(KEY)}, "ibm") == BearerToken(value=Secret(KEY))
    assert credential_from({"apikey": Secret(KEY)}, "ibm") == ApiKey(value=Secret(KEY))
    assert credential_from(KEY, "ibm") == ApiKey(value=Secret(KEY))
    assert credential_from("eyJhbGciOiJub25lIn0.e30.c2ln", "ibm") == BearerToken(
        value=Secret("eyJhbGciOiJub25lIn0.e30.c2ln")
    )


@pytest.mark.parametrize(
    "text", ['{"canary-7f3a": "api_key"}', "canary-7f3a\x00", '{"api_key": "canary-7f3a', '"canary-7f3a"']
)
def test_no_reason_repeats_the_secret(text: str) -> None:
    """R1: neither a value nor a name from inside the secret, and no cause that would show it in a traceback."""
    with pytest.raises(SourceFailed) as caught:
        credential_at("the file /x", text, "openai")
    assert caught.value.reason.startswith("the file /x: ")
    assert "canary" not in "".join(traceback.format_exception(caught.value))


def test_names_that_are_ours() -> None:
    assert field_name("AWS_SESSION_TOKEN") == "session_token"
    assert field_name("tls.crt") is None
    assert [field_name("Private_Key", each) for each in ("oracle", "openai", None)] == ["private_key", None, None]
