"""GOOGLE_APPLICATION_CREDENTIALS: which files are for whom, and which are none."""

from __future__ import annotations

import json

import pytest

from llmauth.credentials.google.credential_file import CredentialFileStrategy, named, parsed
from llmauth.platform import SimulatedMachine, ThisMachine
from llmauth.secrets import GoogleAccount, Secret
from llmauth.sources import SourceFailed, SourceUnavailable
from tests.emulators.google_sts import authorized_user_file, external_account_file, service_account_file


def machine(text: str | None, path: str = "/g.json") -> SimulatedMachine:
    return SimulatedMachine({"GOOGLE_APPLICATION_CREDENTIALS": path}, {} if text is None else {"/g.json": text})


@pytest.mark.parametrize("info", [service_account_file(), authorized_user_file()])
def test_a_file_with_a_secret_of_its_own(info) -> None:
    text = json.dumps(info)
    strategy = CredentialFileStrategy(machine(text))
    assert strategy.unavailable() is None
    loaded = strategy.load()
    assert loaded.credential == GoogleAccount(info=Secret(text))
    assert loaded.source == f"{info['type']} file of GOOGLE_APPLICATION_CREDENTIALS"


@pytest.mark.parametrize(
    ("here", "reason"),
    [
        (SimulatedMachine({}), "is not set"),
        (machine("", path=""), "is not set"),
        (machine(json.dumps(external_account_file({"file": "/t"}))), "external_account, which workload_identity"),
    ],
)
def test_not_here(here, reason) -> None:
    strategy = CredentialFileStrategy(here)
    assert reason in str(strategy.unavailable())
    with pytest.raises(SourceUnavailable, match=reason):
        strategy.load()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (None, "names cannot be read"),
        ("canary-7f3a", "is no credential file of Google"),
        ("[]", "is no credential file of Google"),
        ("{}", "is no credential file of Google"),
        ('{"type": 7}', "is no credential file of Google"),
        ('{"a":' * 10_000, "is no credential file of Google"),
        ('{"type": "canary-7f3a"}', "of a type that is not known here"),
    ],
)
def test_a_file_that_is_meant_and_broken(text, reason) -> None:
    strategy = CredentialFileStrategy(machine(text))
    assert strategy.unavailable() is None
    with pytest.raises(SourceFailed, match=reason) as caught:
        strategy.load()
    assert "canary" not in caught.value.reason


def test_a_path_is_of_where_we_stand(tmp_path, monkeypatch) -> None:
    (tmp_path / "g.json").write_text('{"type": "service_account"}')
    monkeypatch.chdir(tmp_path)
    found = named(ThisMachine({"GOOGLE_APPLICATION_CREDENTIALS": "g.json"}))
    assert found is not None
    assert found.type == "service_account"


def test_a_file_shows_nothing() -> None:
    """R1"""
    assert "canary" not in repr(parsed('{"type": "service_account", "private_key": "canary-7f3a"}', "it"))
