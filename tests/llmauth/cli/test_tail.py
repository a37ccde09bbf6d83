from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from llmauth.cli import main, past
from llmauth.hindsight.facts import brief
from tests.llmauth.hindsight.requests import remembered


class Place:
    name = "the proxy of a test"

    def follow(self, user: str | None) -> Iterator[dict[str, Any]]:
        yield brief(remembered(request_id=f"req_of_{user}"))
        raise KeyboardInterrupt


def test_each_is_a_line_until_somebody_ends_it(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.setattr(past, "live", lambda proxy, ca_file: Place())
    assert main(["tail", "--user", "alice"]) == 130
    captured = capsys.readouterr()
    assert "req_of_alice  alice  claude-cli/2.1  /v1/chat/completions" in captured.out
    assert captured.err.startswith("Following the proxy of a test; Ctrl-C ends it.")
    assert main(["tail", "--json"]) == 130
    assert json.loads(capsys.readouterr().out)["request_id"] == "req_of_None"


def test_where_none_runs_there_is_nothing_to_follow(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.setattr(past, "live", lambda proxy, ca_file: None)
    assert main(["tail"]) == 1
    assert "none was joined" in capsys.readouterr().err
