"""The proxy as it may be met: not there, there and silent, or at a port of its own choice. One that works is in e2e."""

from __future__ import annotations

from llmauth.doctor.patient import Running
from llmauth.doctor.proxy import examine, reached_at
from tests.llmauth.doctor.conftest import Make


def running(port: int, host: str = "127.0.0.1") -> Running:
    return Running(process=4711, host=host, port=port, tls_port=None, ca="")


def test_none_that_runs_is_a_warning_with_the_command(patient: Make) -> None:
    (found,) = examine(patient())
    assert (found.verdict, found.fix) == ("warn", "llmauth serve")


def test_one_that_does_not_answer_is_a_fault(patient: Make) -> None:
    (found,) = examine(patient(running=(running(1),)))
    assert (found.verdict, "process 4711 runs" in found.what) == ("fail", True)


def test_an_unknown_port_is_not_guessed(patient: Make) -> None:
    assert [found.verdict for found in examine(patient(running=(running(0),)))] == ["skip"]
    assert reached_at(running(8080, "0.0.0.0")) == ("127.0.0.1", 8080)
    assert reached_at(running(8080, "::")) == ("::1", 8080)
