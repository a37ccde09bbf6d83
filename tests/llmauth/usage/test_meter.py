"""What every meter does alike."""

from __future__ import annotations

from llmauth.telemetry.series import UNMETERED
from llmauth.usage.meter import Reading, Reason, Unread, judged, parsed
from llmauth.usage.told import Told
from tests.llmauth.usage.answers import read, tokens


def test_a_reading_has_tokens_or_says_why_not() -> None:
    assert judged([], Reason.BROKEN) == Reading(None, Reason.BROKEN)
    assert judged([Told({"input": 1})], Reason.BROKEN) == Reading(tokens(1, 0), None)
    assert judged([Told({"input": 1}, final=False)], Reason.BROKEN) == Reading(tokens(1, 0), Reason.CUT)


def test_what_is_not_read_says_why_and_what_its_head_told() -> None:
    assert read(Unread(Reason.ENCODING), [b"anything"]) == Reading(None, Reason.ENCODING)
    head = Told({"input": 3, "output": 4}, beside=True)
    assert read(Unread(Reason.ENCODING, head), [b"anything"]) == Reading(tokens(3, 4), None)


def test_what_is_no_json_is_nothing() -> None:
    assert parsed(b'{"a": [1]}') == {"a": [1]}
    assert [parsed(text) for text in (b"", b"{", b"\xff\xfe\xfd", b"[" * 100_000, b"1" * 5000)] == [None] * 5


def test_the_metrics_know_every_reason() -> None:
    assert {reason.value for reason in Reason} == UNMETERED
