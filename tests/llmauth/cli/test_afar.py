from __future__ import annotations

import itertools
from typing import Any

import pytest

from llmauth.cli import afar
from llmauth.cli.afar import There
from llmauth.cli.proxy import ProxyFailed, place_of
from llmauth.secrets import Secret

PROXY = "http://alice:llmauth_x@127.0.0.1:1"


def there() -> There:
    return There(place=place_of(PROXY), credential=Secret("k"), ca_file=None)


def test_an_id_that_is_unknown_there_is_none_and_other_failures_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(code: str | None) -> Any:
        def ask(*_: Any, **__: Any) -> Any:
            raise ProxyFailed("no", code)

        return ask

    monkeypatch.setattr(afar, "ask", refuse("request_not_found"))
    assert there().find("x") == ()
    monkeypatch.setattr(afar, "ask", refuse(None))
    with pytest.raises(ProxyFailed):
        there().find("x")


def test_an_id_is_one_part_of_a_path(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(
        afar, "ask", lambda place, method, path, *_, **__: asked.append(path) or {"requests": ["?", {}]}
    )
    assert there().find("../whoami?x") == [{}]
    assert asked == ["/auth/requests/..%2Fwhoami%3Fx"]


def test_from_afar_is_asked_more_seldom_while_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    told = iter(
        [[{"at": 0}], [], [], [{"at": 1, "user": "alice"}, {"at": 2, "user": "bob"}], [{"at": 3, "user": "alice"}]]
    )
    monkeypatch.setattr(afar, "ask", lambda *_, **__: {"requests": next(told), "cursor": "c"})
    slept: list[float] = []
    found = itertools.islice(there().follow("alice", slept.append), 2)
    assert [one["at"] for one in found] == [1, 3]
    assert slept == [1, 2, 3, 1]


def test_something_else_that_answers_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(afar, "ask", lambda *_, **__: {"hello": 1})
    with pytest.raises(ProxyFailed, match="something else"):
        there().recent(1, None)
