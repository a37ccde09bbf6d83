from __future__ import annotations

import socket
from pathlib import Path

import pytest

from addons.launch.workers.asking import asking
from llmauth.errors import Unavailable


def test_where_nobody_listens_nobody_answers(tmp_path: Path) -> None:
    assert asking(tmp_path)({"ask": "recent"}) == []


def test_one_that_does_not_answer_is_no_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("addons.launch.workers.asking._PATIENCE", 0.05)
    (tmp_path / "control").mkdir()
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "control" / "4711-0a.sock"))
        silent.listen()
        with pytest.raises(Unavailable) as caught:
            asking(tmp_path)({"ask": "recent"})
    assert caught.value.detail == "The proxy of process 4711 did not answer."
