"""The clock is held against what a provider says that the time is."""

from __future__ import annotations

import time
from email.utils import formatdate

import pytest

from llmauth.doctor.clock import examine
from llmauth.http import Headers
from llmauth.outbound import Answer
from tests.llmauth.doctor.conftest import Make


@pytest.mark.parametrize(("behind", "verdict"), [(0, "ok"), (59, "ok"), (75, "warn"), (299, "warn"), (400, "fail")])
def test_a_minute_is_warned_of_and_five_are_a_fault(patient: Make, behind: int, verdict: str) -> None:
    one = patient(instances={"bedrock": {"type": "bedrock"}})
    date = formatdate(time.time() + behind, usegmt=True).encode()
    place = one.handlers["bedrock"].base.origin
    one.once(f"reached {place}", lambda: Answer(status=403, body=b"", headers=Headers([(b"Date", date)])))
    wall, monotonic = examine(one)
    assert (wall.verdict, monotonic.verdict) == (verdict, "ok")
    if verdict != "ok":
        assert "behind bedrock-runtime.us-east-1.amazonaws.com" in wall.what


def test_without_an_answer_nothing_is_said_of_it(patient: Make) -> None:
    one = patient(instances={"openai": {"type": "openai"}})
    one.once(f"reached {one.handlers['openai'].base.origin}", lambda: "no network")
    assert next(iter(examine(one))).verdict == "skip"
