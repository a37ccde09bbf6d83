"""The operator's side: which proxies run on a state folder, and what each answers."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from llmauth.control.place import folder_of, short, sockets

# A rehearsal waits for sources that may be slow: the patience of a request, and a deadline for those that stand by.
TIME_LIMIT = 30.0
_MOST = 16 * 1024 * 1024


class ControlFailed(Exception):
    """A process that runs did not answer as it should; the text is a sentence."""


def ask_all(home: Path, question: Mapping[str, Any], patience: float = TIME_LIMIT) -> list[dict[str, Any]]:
    """The answers of all proxies that run on this state folder, in the order of their process numbers; blocks, for each
    no longer than `patience` seconds.

    Sockets that a killed process left behind are passed over. ControlFailed where one that runs does not answer.
    """
    answers = (_ask(number, file, question, patience) for number, file in sockets(folder_of(home)))
    return [answer for answer in answers if answer is not None]


def ask_each(home: Path, question: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The same one after the other, without those that an answer before spoke for: its `processes`, by their numbers.

    The workers of one proxy answer together.
    """
    spoken_for: set[int] = set()
    for number, file in sockets(folder_of(home)):
        answer = None if number in spoken_for else _ask(number, file, question)
        if answer is not None:
            spoken_for.update(answer.get("processes", ()))
            yield answer


def running(home: Path) -> tuple[int, ...]:
    """The process numbers of the proxies that run on this state folder; asks them nothing."""
    return tuple(number for number, file in sockets(folder_of(home)) if _listens(file))


def ask_one(number: int, file: Path, question: Mapping[str, Any]) -> dict[str, Any] | None:
    """The answer of the process of one socket, as `sockets` has both; None where nobody listens there any more."""
    return _ask(number, file, question)


def _listens(file: Path) -> bool:
    try:
        with socket.socket(socket.AF_UNIX) as connection, short(file.parent, file.name) as path:
            connection.settimeout(TIME_LIMIT)
            connection.connect(path)
    except (ConnectionRefusedError, FileNotFoundError):
        return False
    except OSError:  # it is there, and does not listen in time
        return True
    return True


def _ask(number: int, file: Path, question: Mapping[str, Any], patience: float = TIME_LIMIT) -> dict[str, Any] | None:
    with socket.socket(socket.AF_UNIX) as connection, short(file.parent, file.name) as path:
        connection.settimeout(patience)
        try:
            connection.connect(path)
        except (ConnectionRefusedError, FileNotFoundError):
            return None
        except OSError as error:
            raise ControlFailed(f"The proxy of process {number} cannot be asked: {error.strerror}.") from None
        try:
            connection.sendall(json.dumps(dict(question)).encode() + b"\n")
            answer = json.loads(_line(connection))
        except (OSError, ValueError):
            raise ControlFailed(f"The proxy of process {number} did not answer.") from None
    if not isinstance(answer, dict):
        raise ControlFailed(f"The proxy of process {number} answered something that cannot be read.")
    if "error" in answer:
        raise ControlFailed(f"The proxy of process {number} refused: {answer['error']}.")
    return answer


def _line(connection: socket.socket) -> bytes:
    got = b""
    while not got.endswith(b"\n") and len(got) < _MOST:
        piece = connection.recv(65536)
        if not piece:
            break
        got += piece
    return got
