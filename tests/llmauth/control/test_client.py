"""Who asks finds the proxies that run, passes over what dead ones left, and says plainly when one does not answer."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from llmauth.control.client import ControlFailed, ask_all, running
from llmauth.control.place import short


@pytest.fixture
def process(tmp_path: Path):
    """A factory: a stand-in for the proxy of a process number, which answers with these bytes."""
    listeners = []
    folder = tmp_path / "control"
    folder.mkdir()

    def start(number: int, answer: bytes | None) -> list[bytes]:
        heard: list[bytes] = []
        listener = socket.socket(socket.AF_UNIX)
        with short(folder, f"{number}-0a1b.sock") as path:
            listener.bind(path)
        listener.listen()
        listeners.append(listener)

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                heard.append(connection.recv(4096))
                if answer is not None:
                    connection.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        return heard

    yield start
    for listener in listeners:
        listener.close()


Process = Callable[[int, bytes | None], list[bytes]]


def test_all_that_run_are_asked_in_the_order_of_their_numbers(tmp_path: Path, process: Process) -> None:
    heard = process(100, b'{"process": 100}\n')
    process(20, b'{"process": 20}\n')
    assert [one["process"] for one in ask_all(tmp_path, {"ask": "credentials"})] == [20, 100]
    assert json.loads(heard[0]) == {"ask": "credentials"}


def test_who_runs_is_told_without_a_question(tmp_path: Path, process: Process) -> None:
    assert running(tmp_path) == ()
    process(100, None)
    process(20, None)
    left = socket.socket(socket.AF_UNIX)
    with short(tmp_path / "control", "30-0a1b.sock") as path:
        left.bind(path)
    left.close()
    assert running(tmp_path) == (20, 100)


def test_what_a_killed_process_left_is_passed_over(tmp_path: Path, process: Process) -> None:
    process(20, b'{"process": 20}\n')
    left = socket.socket(socket.AF_UNIX)
    with short(tmp_path / "control", "7-0a1b.sock") as path:
        left.bind(path)
    left.close()
    (tmp_path / "control" / "notes.sock").touch()
    assert [one["process"] for one in ask_all(tmp_path, {})] == [20]


def test_where_nobody_runs_nobody_answers(tmp_path: Path) -> None:
    assert ask_all(tmp_path, {}) == []


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (b'{"error": "no instance is named \'x\'"}\n', "process 7 refused: no instance is named 'x'"),
        (b"", "process 7 did not answer"),
        (b"not json\n", "process 7 did not answer"),
        (b"[]\n", "process 7 answered something that cannot be read"),
    ],
)
def test_one_that_does_not_answer_is_told(tmp_path: Path, process: Process, answer: bytes, sentence: str) -> None:
    process(7, answer)
    with pytest.raises(ControlFailed, match=sentence):
        ask_all(tmp_path, {})


def test_one_that_hangs_ends_with_the_time(tmp_path: Path, process: Process) -> None:
    with socket.socket(socket.AF_UNIX) as hanging:
        with short(tmp_path / "control", "7-0a1b.sock") as path:
            hanging.bind(path)
        hanging.listen()
        with pytest.raises(ControlFailed, match="did not answer"):
            ask_all(tmp_path, {}, 0.2)
