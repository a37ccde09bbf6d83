"""The access log: whole lines only, each given out once, found by either id."""

from __future__ import annotations

import json
import threading
from pathlib import Path

from llmauth.demo.walk.access import AccessLog


def line(**facts: object) -> str:
    fixed = {"timestamp": "2026-01-02T03:04:05.678Z", "logger": "llmauth.access", "message": "request", "ms": 3}
    return json.dumps({**fixed, "request_id": "r", "status": 200, "door": "tunnel", **facts}) + "\n"


def test_gives_each_access_line_once_and_no_other_line(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("Error: plain words\n" + line() + '{"logger": "llmauth.gateway", "message": "x"}\n')
    log = AccessLog(path)
    assert [access.request_id for access in log.take()] == ["r"]
    assert log.take() == ()


def test_a_line_that_is_being_written_waits_for_its_end(tmp_path: Path) -> None:
    path, whole = tmp_path / "log", line(request_id="late")
    path.write_text(whole[:20])
    log = AccessLog(path)
    assert log.take() == ()
    path.write_text(whole)
    assert [access.request_id for access in log.take()] == ["late"]


def test_finds_a_call_by_the_gateways_id_and_by_the_providers(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text(line(request_id="ours", provider_request_id="theirs") + line(request_id="other"))
    assert AccessLog(path).of("theirs", 200).request_id == "ours"
    assert AccessLog(path).of("other", 200).request_id == "other"
    assert AccessLog(path).of("nobody's", 200, limit=0) is None


def test_finds_a_refused_connect_by_its_status(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text(line() + line(status=407, door="connect", code="invalid_api_key"))
    assert AccessLog(path).of(None, 407).code == "invalid_api_key"


def test_waits_for_a_line_that_comes_late(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.touch()
    writer = threading.Timer(0.05, path.write_text, [line(request_id="late")])
    writer.start()
    assert AccessLog(path).of("late", 200) is not None
    writer.join()
