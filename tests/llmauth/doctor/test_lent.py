"""A session is lent by the running proxy, and taken back whatever happens; the proxy itself is in tests/e2e."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from llmauth.control.client import ControlFailed
from llmauth.doctor import lent as module
from llmauth.doctor.lent import NotLent, lent
from llmauth.doctor.patient import Running
from tests.llmauth.doctor.conftest import Make

RUNNING = (Running(process=7, host="127.0.0.1", port=1, tls_port=None, ca=""),)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Mapping[str, Any]]:
    heard: list[Mapping[str, Any]] = []

    def answer(number: int, file: Path, question: Mapping[str, Any]) -> dict[str, Any]:
        heard.append(question)
        return {"id": "s1", "token": "llmauth_canary7f3a"}

    monkeypatch.setattr(module, "sockets", lambda folder: [(3, Path("a")), (7, Path("b"))])
    monkeypatch.setattr(module, "ask_one", answer)
    return heard


def test_it_is_for_the_hosts_alone_and_taken_back(patient: Make, asked: list[Mapping[str, Any]]) -> None:
    with lent(patient(running=RUNNING), RUNNING[0], ["api.openai.com"]) as session:
        assert session is not None
        assert "canary" not in repr(session)
    assert asked[0] == {"ask": "lend", "user": "llmauth-doctor", "seconds": 120.0, "shown_at": ["api.openai.com"]}
    assert (asked[1]["ask"], asked[1]["id"]) == ("take_back", "s1")


def test_nobody_must_prove_who_it_is_where_authentication_is_off(patient: Make, asked: list[Mapping[str, Any]]) -> None:
    with lent(patient(running=RUNNING, auth={"enabled": False}), RUNNING[0], []) as session:
        assert (session, asked) == (None, [])


def test_a_proxy_that_lends_nothing_says_why(patient: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> Any:
        raise ControlFailed("The proxy of process 7 refused: a second factor is required.")

    monkeypatch.setattr(module, "sockets", lambda folder: [(7, Path("b"))])
    monkeypatch.setattr(module, "ask_one", refuse)
    with pytest.raises(NotLent, match="second factor"), lent(patient(running=RUNNING), RUNNING[0], []):
        pass
    monkeypatch.setattr(module, "sockets", lambda folder: [])
    with pytest.raises(NotLent, match="has ended"), lent(patient(), RUNNING[0], []):
        pass
