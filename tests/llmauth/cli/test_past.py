"""Whom `last`, `tail` and `explain` ask, and in which order."""

from __future__ import annotations

import itertools
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from llmauth.cli import past
from llmauth.cli.past import Here, There, Written, live, places
from llmauth.cli.proxy import ProxyFailed, place_of
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
    monkeypatch.setattr(past, "_saved", lambda place: None)
    with pytest.raises(ValueError, match="llmauth join"):
        live("http://127.0.0.1:1", None)
    monkeypatch.setenv("HTTPS_PROXY", "http://squid.corp:3128")  # which may be any proxy
    assert live(None, None) is None
    joins(monkeypatch, None)
    with pytest.raises(ValueError, match="llmauth join"):
        live(None, None)


def there() -> There:
    return There(place=place_of(PROXY), credential=Secret("k"), ca_file=None)


def test_an_id_that_is_unknown_there_is_none_and_other_failures_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(code: str | None) -> Any:
        def ask(*_: Any, **__: Any) -> Any:
            raise ProxyFailed("no", code)

        return ask

    monkeypatch.setattr(past, "ask", refuse("request_not_found"))
    assert there().find("x") == ()
    monkeypatch.setattr(past, "ask", refuse(None))
    with pytest.raises(ProxyFailed):
        there().find("x")


def test_an_id_is_one_part_of_a_path(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(
        past, "ask", lambda place, method, path, *_, **__: asked.append(path) or {"requests": ["?", {}]}
    )
    assert there().find("../whoami?x") == [{}]
    assert asked == ["/auth/requests/..%2Fwhoami%3Fx"]


def test_from_afar_is_asked_more_seldom_while_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    told = iter(
        [[{"at": 0}], [], [], [{"at": 1, "user": "alice"}, {"at": 2, "user": "bob"}], [{"at": 3, "user": "alice"}]]
    )
    monkeypatch.setattr(past, "ask", lambda *_, **__: {"requests": next(told), "cursor": "c"})
    slept: list[float] = []
    found = itertools.islice(there().follow("alice", slept.append), 2)
    assert [one["at"] for one in found] == [1, 3]
    assert slept == [1, 2, 3, 1]


def test_something_else_that_answers_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(past, "ask", lambda *_, **__: {"hello": 1})
    with pytest.raises(ProxyFailed, match="something else"):
        there().recent(1, None)
