from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from llmauth.cli import main, past
from llmauth.hindsight.facts import brief
from tests.fixtures.audits import decided, running
from tests.llmauth.hindsight.requests import remembered


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LLMAUTH_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("HTTPS_PROXY", "https_proxy", "LLMAUTH_PROXY", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def test_the_one_before_is_shown_and_more_if_wanted(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    two = [
        brief(remembered(request_id="req_11111111")),
        brief(remembered(request_id="req_22222222", at=1_800_000_001.0)),
    ]
    asked: Any = []
    monkeypatch.setattr(past, "ask_all", lambda home, question: asked.append(question) or [{"requests": two}])
    assert main(["last"]) == 0
    assert capsys.readouterr().out.startswith("req_22222222  alice  forward  api.openai.com")
    assert main(["last", "-n", "5", "--user", "alice", "--json"]) == 0
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one["request_id"] for one in told] == ["req_11111111", "req_22222222"]
    assert asked[-1] == {"ask": "recent", "limit": 5, "of": "alice"}


def test_where_none_runs_the_record_tells_and_what_it_does_not(home: Path, capsys) -> None:
    with running(home) as log:
        log.note(decided("req_recorded", door="tunnel", host="api.openai.com"))
    assert main(["last"]) == 0
    captured = capsys.readouterr()
    assert "req_reco  alice  forward  api.openai.com" in captured.out
    assert "From the audit record, which does not keep: path" in captured.err


def test_nothing_is_said_as_such(capsys) -> None:
    assert main(["last"]) == 0
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "No request so far, says the audit record in " in captured.err


def test_wrong_use_is_told(capsys) -> None:
    assert main(["last", "-n", "0"]) == 2
    assert main(["last", "--proxy", "ftp://x"]) == 2
    assert "http://HOST:PORT" in capsys.readouterr().err
