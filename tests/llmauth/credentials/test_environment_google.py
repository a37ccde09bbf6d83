"""The environment of a Vertex instance: keys and tokens first, then the file that Google's own tools read."""

from __future__ import annotations

import json

import pytest

from llmauth.credentials import build
from llmauth.credentials.environment import EnvironmentOptions, EnvironmentStrategy
from llmauth.secrets import ApiKey, BearerToken, GoogleAccount, Secret
from llmauth.sources import SourceFailed, SourceUnavailable
from tests.emulators.google_sts import (
    ACCOUNT,
    GoogleTokens,
    authorized_user_file,
    external_account_file,
    leading,
    service_account_file,
)

FILE = {"GOOGLE_APPLICATION_CREDENTIALS": "/g"}


@pytest.fixture
def environment(standing):
    def make(environ, info=None, provider="vertex") -> EnvironmentStrategy:
        files = {} if info is None else {"/g": json.dumps(info)}
        return EnvironmentStrategy(EnvironmentOptions(), standing(provider, environ, files))

    return make


@pytest.mark.parametrize("info", [service_account_file(), authorized_user_file()])
def test_a_credential_file(environment, info) -> None:
    loaded = environment(FILE, info).load()
    assert loaded.credential == GoogleAccount(info=Secret(json.dumps(info)))
    assert loaded.source == f"{info['type']} file of GOOGLE_APPLICATION_CREDENTIALS"


@pytest.mark.parametrize(
    ("environ", "kind"),
    [({"GOOGLE_API_KEY": "AIza-0123456789"}, ApiKey), ({"GOOGLE_OAUTH_ACCESS_TOKEN": "ya29.x"}, BearerToken)],
)
def test_a_key_or_token_comes_first(environment, environ, kind) -> None:
    assert isinstance(environment(FILE | environ, service_account_file()).load().credential, kind)


def test_a_file_of_federation_is_for_the_workload(environment) -> None:
    strategy = environment(FILE, external_account_file({"file": "/t"}))
    assert "which workload_identity (gcp) reads" in str(strategy.unavailable())
    with pytest.raises(SourceUnavailable):
        strategy.load()


def test_a_file_that_is_not_there(environment) -> None:
    strategy = environment(FILE)
    assert strategy.unavailable() is None
    with pytest.raises(SourceFailed, match="cannot be read"):
        strategy.load()


def test_nothing_at_all(environment) -> None:
    assert environment({}).unavailable() == (
        "neither of the environment variables GOOGLE_API_KEY and GOOGLE_OAUTH_ACCESS_TOKEN is set"
    )


def test_the_file_is_for_no_other_provider(environment) -> None:
    with pytest.raises(SourceUnavailable, match="OPENAI_API_KEY is not set"):
        environment(FILE, service_account_file(), "openai").load()


def test_an_instance_gets_a_token_for_its_file(standing, tmp_path) -> None:
    with GoogleTokens() as tokens:
        here = standing("vertex", FILE, {"/g": json.dumps(service_account_file())}, outbound=leading(tmp_path, tokens))
        strategy = build(EnvironmentOptions(), here)
        loaded = strategy.load()
        assert isinstance(loaded.credential, BearerToken)
        assert tokens.directory.principal(loaded.credential.value.reveal()) == ACCOUNT
        assert loaded.source == "service_account file of GOOGLE_APPLICATION_CREDENTIALS, exchanged by Google"
        strategy.load()
        assert len(tokens.calls) == 1
