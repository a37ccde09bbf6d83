"""Whom `last`, `tail` and `explain` ask, and in which order."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from llmauth.cli import afar, past
from llmauth.cli.afar import There
from llmauth.cli.past import Here, Written, live, places
from llmauth.clients import joined
from llmauth.secrets import Secret

PROXY = "http://alice:llmauth_x@127.0.0.1:1"


@pytest.fixture(autouse=True)
def nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMAUTH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("HTTPS_PROXY", "https_proxy", "LLMAUTH_PROXY", "LLMAUTH_KEY", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)


def runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(past, "ask_all", lambda home, question: [{"requests": []}])


SESSION = Secret("session")


def joins(monkeypatch: pytest.MonkeyPatch, session: Secret | None = SESSION) -> None:
    profile = SimpleNamespace(url="https://proxy.corp:8443", authority="proxy.corp:8443")
    monkeypatch.setattr(joined, "read", lambda environ: profile)
    monkeypatch.setattr(joined, "session", lambda one, environ: session)
    monkeypatch.setattr(joined, "trusted", lambda one, environ: Path("joined-ca.pem"))


def test_where_nobody_runs_the_record_is_asked() -> None:
    assert live(None, None) is None
    (only,) = places(None, None)
    assert isinstance(only, Written)


def test_the_proxy_that_runs_here_stands_before_the_one_that_was_joined(monkeypatch: pytest.MonkeyPatch) -> None:
    joins(monkeypatch)
    runs(monkeypatch)
    first, second = places(None, None)
    assert isinstance(first, Here)
    assert isinstance(second, Written)


def test_a_proxy_that_was_joined_is_asked_with_its_session(monkeypatch: pytest.MonkeyPatch) -> None:
    joins(monkeypatch)
    (only,) = places(None, None)
    assert isinstance(only, There)
    assert only.place.url == "https://proxy.corp:8443"
    assert only.credential.reveal() == "session"
    assert only.ca_file == Path("joined-ca.pem")


def test_a_proxy_that_is_named_is_asked_whoever_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    runs(monkeypatch)
    found = live(PROXY, None)
    assert isinstance(found, There)
    assert found.credential.reveal() == "llmauth_x"
    monkeypatch.setenv("LLMAUTH_KEY", "llmauth_y")
    found = live("https://proxy.corp", Path("ca.pem"))
    assert isinstance(found, There)
    assert (found.credential.reveal(), found.ca_file) == ("llmauth_y", Path("ca.pem"))


def test_without_a_credential_nobody_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(afar, "_saved", lambda place: None)
    with pytest.raises(ValueError, match="llmauth join"):
        live("http://127.0.0.1:1", None)
    monkeypatch.setenv("HTTPS_PROXY", "http://squid.corp:3128")  # which may be any proxy
    assert live(None, None) is None
    joins(monkeypatch, None)
    with pytest.raises(ValueError, match="llmauth join"):
        live(None, None)
