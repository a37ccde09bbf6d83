from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from llmauth.cli import main, past
from llmauth.hindsight.facts import whole
from tests.llmauth.hindsight.requests import remembered


def told(request_id: str, **more) -> dict:
    return whole(remembered(request_id=request_id, **more), lambda _: None)


@pytest.fixture
def places(monkeypatch: pytest.MonkeyPatch):
    """A factory: two places that find these."""

    def found(*each) -> None:
        named = ("the proxy that runs here", "the audit record in /state")
        made = [SimpleNamespace(name=name, find=lambda _, n=number: each[n]) for number, name in enumerate(named)]
        monkeypatch.setattr(past, "places", lambda proxy, ca_file: made)

    return found


def test_what_one_place_knows_the_next_is_not_asked_for(places, capsys) -> None:
    places([told("req_1")], None)
    assert main(["explain", "req_1"]) == 0
    assert capsys.readouterr().out.splitlines()[0].startswith("req_1")


def test_the_record_stands_in_and_says_what_it_lacks(places, capsys) -> None:
    places([], [{"request_id": "req_1", "recorded": True, "decisions": [], "status": 200}])
    assert main(["explain", "req_1"]) == 0
    assert "does not keep" in capsys.readouterr().err


def test_an_unknown_one_says_where_was_looked(places, capsys) -> None:
    places([], [])
    assert main(["explain", "req_x"]) == 1
    captured = capsys.readouterr()
    assert captured.err == (
        "No request with the id 'req_x' is known to the proxy that runs here and the audit record in /state.\n"
    )


def test_several_that_begin_so_are_shown_whole(places, capsys) -> None:
    places([told("req_11"), told("req_12")], None)
    assert main(["explain", "req_1"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert [line.split()[0] for line in captured.err.splitlines()] == ["2", "req_11", "req_12"]


def test_of_several_with_one_id_the_newest_is_explained(places, capsys) -> None:
    places([told("trace", method="GET"), told("trace", method="PUT")], None)
    assert main(["explain", "trace", "--json"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["method"] == "PUT"
    assert main(["explain", "trace"]) == 0
    assert "2 requests bear this id" in capsys.readouterr().err


def test_an_id_is_not_echoed_raw(places, capsys) -> None:
    places([], [])
    assert main(["explain", "\x1b[31mx"]) == 1
    assert "\x1b" not in capsys.readouterr().err
