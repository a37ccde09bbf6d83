from __future__ import annotations

import itertools
from typing import Any
from urllib.parse import parse_qsl

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
    asked: Any = []
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


def test_more_than_is_told_at_once_is_asked_page_by_page(monkeypatch: pytest.MonkeyPatch) -> None:
    over = [{"request_id": str(number), "at": number, "user": "alice"} for number in range(250)]
    runs = {"request_id": "r", "at": 300, "user": "alice", "running": True}
    asked: list[dict[str, str]] = []

    def ask(_place: Any, _method: str, path: str, *_: Any, **__: Any) -> Any:
        query = dict(parse_qsl(path.partition("?")[2], keep_blank_values=True))
        asked.append(query)
        limit, after = int(query["limit"]), query.get("after")
        assert limit <= 100
        if after is None:
            return {"requests": [*over[-limit:], runs][-limit:], "cursor": "250"}
        page = over[int(after or 0) :][:limit]
        return {"requests": page, "cursor": str(int(after or 0) + len(page))}

    monkeypatch.setattr(afar, "ask", ask)
    assert [one["at"] for one in there().recent(200, "alice")] == [*range(51, 250), 300]
    assert [one["at"] for one in there().recent(1000, None)] == [*range(250), 300]
    asked.clear()
    assert len(there().recent(100, None)) == 100
    assert asked == [{"limit": "100"}]


@pytest.mark.parametrize("code", ["rate_limit_exceeded", "unavailable"])
def test_a_proxy_that_is_busy_is_asked_again(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    said: Any = [ProxyFailed("busy", code), ProxyFailed("busy", code), {"requests": [], "cursor": ""}]

    def ask(*_: Any, **__: Any) -> Any:
        one = said.pop(0)
        if isinstance(one, Exception):
            raise one
        return one

    slept: list[float] = []
    monkeypatch.setattr(afar, "ask", ask)
    monkeypatch.setattr("time.sleep", slept.append)
    assert there().recent(1, None) == []
    assert slept == [1, 1]
    said += [ProxyFailed("busy", code)] * 4
    with pytest.raises(ProxyFailed):
        there().recent(1, None)
