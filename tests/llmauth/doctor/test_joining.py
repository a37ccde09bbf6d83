"""The profile of a proxy that was joined, as far as it can be read without asking anybody."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from llmauth.clients import joined
from llmauth.clients.joined import Joined
from llmauth.doctor.joining import asked, joined_here, session_of, tls_of
from llmauth.secrets import Secret
from tests.fixtures.keyrings import none_here
from tests.llmauth.doctor.conftest import Make

PEM = "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"


@pytest.fixture(autouse=True)
def no_keyring(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with none_here(monkeypatch):
        yield


def profile(url: str = "http://127.0.0.1:1") -> Joined:
    return Joined(url=url, ca_pem=PEM, fingerprint="AA:BB", user="alice")


def test_none_was_joined(patient: Make) -> None:
    assert joined_here(patient()) is None


def test_what_was_joined_is_found_with_its_session(patient: Make) -> None:
    one = patient()
    kept = joined.write(profile(), Secret("session-canary-7f3a"), one.environ)
    found = joined_here(one)
    assert found is not None
    assert found.url == kept.url
    assert session_of(one, found) == Secret("session-canary-7f3a")
    assert asked(one, found, "/health", session_of(one, found)) == "127.0.0.1 cannot be asked: ConnectionRefusedError"


def test_a_damaged_profile_is_none(patient: Make, tmp_path: Path) -> None:
    one = patient()
    joined.write(profile(), Secret("x"), one.environ)
    (joined.folder(one.environ) / joined.PROFILE).write_text("{")
    assert joined_here(one) is None


def test_a_port_in_clear_text_is_spoken_to_in_clear_text(patient: Make) -> None:
    assert tls_of(patient(), profile()) is None
    assert tls_of(patient(), profile("https://proxy.test:8443")) is not None
