"""Each thing is looked up once; a proxy that does not know a question is one of which nothing is known."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from llmauth.control.client import ControlFailed
from llmauth.doctor import patient as module
from llmauth.doctor.patient import asked
from tests.llmauth.doctor.conftest import Make


def test_what_several_ask_for_is_made_once(patient: Make) -> None:
    made: list[int] = []
    one = patient()

    def make() -> int:
        made.append(1)
        return 7

    threads = [threading.Thread(target=lambda: one.once("seven", make)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (one.once("seven", make), made) == (7, [1])


def test_running_proxies_are_those_that_serve_everybody(patient: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    told = {"host": "127.0.0.1", "port": 8080, "tls_port": None, "ca": "AA:BB", "worker": 1}
    answers = {12: {**told, "process": 12, "runner": None}, 13: {**told, "process": 13, "runner": 7}}
    monkeypatch.setattr(module, "sockets", lambda folder: [(12, Path("a")), (13, Path("b")), (14, Path("c"))])
    monkeypatch.setattr(module, "ask_one", lambda number, file, question: _answer(answers, number))
    one = patient(running=None)
    (found,) = one.running
    assert (found.process, found.port, found.worker) == (12, 8080, 1)
    assert [each.process for each in module.standing(one.settings.home)] == [12, 13]
    assert one.ask({"ask": "anything"}) == answers[12]


def _answer(answers: dict[int, dict[str, object]], number: int) -> dict[str, object]:
    if number not in answers:
        raise ControlFailed("not a question that this version knows")
    return answers[number]


def test_nobody_answers_where_nobody_runs(tmp_path: Path, patient: Make) -> None:
    assert asked(tmp_path, 1, {"ask": "standing"}) is None
    assert patient().ask({"ask": "standing"}) is None
