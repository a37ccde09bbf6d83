from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from llmauth.audit.records import RequestEnded
from llmauth.clock import ManualClock
from llmauth.hindsight.records import Records
from tests.fixtures.audits import administered, decided, running

DECISIONS = ("auth: alice (api_key ci)", "mode: transparent: openai (owns the host (443))", "model: cut off he")


def ended(request_id: str, **more: Any) -> RequestEnded:
    return RequestEnded(request_id=request_id, status=200, seconds=1.25, user="alice", **more)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Two processes, one after the other."""
    clock = ManualClock()
    with running(tmp_path, clock) as log:
        for number in range(5):
            log.note(decided(f"req_aa{number}", door="tunnel", host="api.openai.com", decisions=DECISIONS))
            clock.advance(1)
            log.note(ended(f"req_aa{number}", input_tokens=8, cost="0.1", provider_request_id=f"theirs-{number}"))
        log.note(administered())
    with running(tmp_path, clock) as log:
        log.note(decided("req_bb", decision="deny", user=None, status=407, code="invalid_api_key", reason="No."))
        log.note(decided("req_about_oneself", instance=None, status=200))
        clock.advance(1)
        log.note(decided("trace", user="bob"))
        log.note(ended("trace"))
        log.note(decided("trace", user="bob", decision="deny", code="x"))
        log.note(decided("req_open", user="bob"))
    return tmp_path


def ids(found: list[dict[str, Any]]) -> list[str]:
    return [one["request_id"] for one in found]


def test_the_last_of_all_processes(home: Path) -> None:
    assert ids(Records(home).latest(2)) == ["trace", "req_open"]
    assert ids(Records(home).latest(6)) == ["req_aa3", "req_aa4", "req_bb", "trace", "trace", "req_open"]
    assert ids(Records(home).latest(2, user="alice")) == ["req_aa3", "req_aa4"]
    assert len(Records(home).latest(100)) == 9


def test_nothing_where_nothing_was_recorded(tmp_path: Path) -> None:
    assert Records(tmp_path).latest(5) == []
    assert Records(tmp_path).find("req_aa") == []


@pytest.mark.parametrize("name", ["req_aa3", "aa3", "theirs-3"])
def test_one_is_found_by_each_of_its_names(home: Path, name: str) -> None:
    (one,) = Records(home).find(name)
    assert one["request_id"] == "req_aa3"
    assert (one["status"], one["ms"], one["input_tokens"], one["cost"]) == (200, 1250, 8, "0.1")
    assert (one["door"], one["host"], one["proved_by"]) == ("forward", "api.openai.com", "api_key")
    assert one["decisions"] == [
        {"router": "auth", "outcome": "alice", "reason": "api_key ci"},
        {"router": "mode", "outcome": "transparent: openai", "reason": "owns the host (443)"},
        {"router": "model", "outcome": "cut off he", "reason": ""},
    ]


def test_a_refusal_is_one_and_what_has_no_outcome_tells_none(home: Path) -> None:
    (refused,) = Records(home).find("req_bb")
    assert (refused["status"], refused["refusal"]) == (407, {"code": "invalid_api_key", "message": "No."})
    (open_,) = Records(home).find("req_open")
    assert "status" not in open_


def test_one_id_of_several_requests_is_each_of_them(home: Path) -> None:
    first, second = Records(home).find("trace")
    assert (first["status"], first["ms"], second["code"]) == (200, 1250, "x")
    assert "ms" not in second


def test_beginnings_that_mean_several_give_all(home: Path) -> None:
    assert ids(Records(home).find("req_aa")) == [f"req_aa{number}" for number in range(5)]
    assert Records(home).find("heirs-3") == []
    assert Records(home).find('aa"') == []


def test_a_file_over_many_blocks_is_read_from_its_end(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Records(home).latest(100), Records(home).find("req_aa")
    monkeypatch.setattr("llmauth.hindsight.records._BLOCK", 700)
    assert (Records(home).latest(100), Records(home).find("req_aa")) == whole


def test_what_cannot_be_read_is_counted(home: Path) -> None:
    (home / "audit" / "zzz.jsonl").symlink_to("/nowhere")
    records = Records(home)
    assert len(records.latest(100)) == 9
    assert records.unreadable == 1
