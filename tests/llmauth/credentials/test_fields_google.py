"""A secret of a Vertex instance: a key, a token, or a whole credential file, alone or in a field."""

from __future__ import annotations

import json

import pytest

from llmauth.credentials.fields import credential_from, field_name, is_google_file
from llmauth.secrets import GoogleAccount, Secret
from llmauth.sources import SourceFailed
from tests.emulators.google_sts import authorized_user_file, external_account_file, service_account_file

KEY_FILE = json.dumps(service_account_file(), indent=2)


@pytest.mark.parametrize("info", [service_account_file(), authorized_user_file(), external_account_file({})])
def test_a_secret_that_is_a_credential_file(info) -> None:
    text = json.dumps(info, indent=2)
    assert credential_from(text + "\n", "vertex") == GoogleAccount(info=Secret(text))


@pytest.mark.parametrize("name", ["service_account_json", "SERVICE_ACCOUNT_JSON"])
def test_a_credential_file_in_a_field(name) -> None:
    wanted = GoogleAccount(info=Secret(KEY_FILE))
    assert credential_from({name: Secret(KEY_FILE + "\n"), "project": Secret("p")}, "vertex") == wanted
    assert credential_from(json.dumps({name: KEY_FILE}), "vertex") == wanted


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"service_account_json": "canary-7f3a"}, "its field service_account_json is no credential file of Google"),
        ({"service_account_json": '{"type": "canary-7f3a"}'}, "is no credential file of Google"),
        ({"service_account_json": ""}, "its field service_account_json is empty"),
        ({"service_account_json": KEY_FILE, "api_key": "canary-7f3a"}, "holds both service_account_json and another"),
        ({"private_key": "canary-7f3a"}, "api_key or token, or service_account_json"),
    ],
)
def test_what_is_none(fields, reason) -> None:
    with pytest.raises(SourceFailed, match=reason) as caught:
        credential_from({name: Secret(value) for name, value in fields.items()}, "vertex")
    assert "canary" not in caught.value.reason


def test_it_is_a_field_of_vertex_alone() -> None:
    assert field_name("service_account_json", "vertex") == "service_account_json"
    assert field_name("service_account_json", "openai") is None
    with pytest.raises(SourceFailed, match="no field of a name that is known here"):
        credential_from(KEY_FILE, "openai")


@pytest.mark.parametrize("text", ["", "x", "{", "[]", "{}", '{"type": "other"}', '{"type": ["service_account"]}'])
def test_texts_that_are_no_file(text) -> None:
    assert not is_google_file(text)
