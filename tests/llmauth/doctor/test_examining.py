"""Examinations run side by side; one that hangs or fails is told of, and keeps none of the others."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

from llmauth.doctor.examining import Examination, examined
from llmauth.doctor.findings import Finding, ok
from llmauth.doctor.patient import Patient
from tests.llmauth.doctor.conftest import Make


def test_they_are_told_in_their_order_and_one_that_hangs_is_left(patient: Make) -> None:
    ends = threading.Event()

    def hangs(_: Patient) -> Iterator[Finding]:
        ends.wait(20)
        yield ok("late")

    def fails(_: Patient) -> Iterator[Finding]:
        yield ok("so far")
        raise RuntimeError("sk-canary-9c1e")

    told: list[list[str]] = []
    asked = [
        Examination(name="hangs", about="", examine=hangs, limit=0.2),
        Examination(name="fails", about="", examine=fails),
        Examination(name="well", about="", examine=lambda _: [ok("well")]),
    ]
    begun = time.monotonic()
    reports = list(examined(patient(), asked, lambda names: told.append(list(names))))
    ends.set()
    assert time.monotonic() - begun < 2
    late, failed, well = (report.findings for report in reports)
    assert (late[0].verdict, late[0].check) == ("fail", "hangs")
    assert "llmauth doctor --only hangs" in (late[0].fix or "")
    assert [one.verdict for one in failed] == ["ok", "fail"]
    assert "RuntimeError" in failed[1].what
    assert "canary" not in failed[1].what
    assert well == (Finding(verdict="ok", what="well", check="well"),)
    assert "hangs" in told[0]
