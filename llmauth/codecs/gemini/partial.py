"""A function call whose arguments come in pieces, each with the JSON path of the value that it is a part of."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

from llmauth.codecs.reading import MAX_DEPTH, Malformed, Node

_STEP = re.compile(r"\.([^.\[\]'\"]+)|\[(\d{1,9})\]|\['((?:[^'\\]|\\.)*)'\]|\[\"((?:[^\"\\]|\\.)*)\"\]")
_ESCAPED = re.compile(r"\\(.)")
_VALUES = ("stringValue", "numberValue", "boolValue", "nullValue")


class PartialCall:
    """One call while it comes."""

    __slots__ = ("_args", "_open", "_pieces", "_put", "id", "name", "signature")

    def __init__(self, name: str, call_id: str, signature: str | None) -> None:
        self.name = name
        self.id = call_id
        self.signature = signature
        self._args: dict[str, Any] = {}
        self._open: str | None = None  # the path of a string that is not complete
        self._put: tuple[Any, str | int] | None = None  # where it stands
        self._pieces: list[str] = []  # what comes behind what stands there

    @property
    def args(self) -> dict[str, Any]:
        """What is known of its arguments."""
        self._join()
        return self._args

    @args.setter
    def args(self, whole: dict[str, Any]) -> None:
        self._args = whole

    def take(self, piece: Node) -> None:
        """One PartialArg; Malformed for a path that leads nowhere."""
        path = piece.need("jsonPath").text()
        steps = _steps(piece, path)
        value = _value(piece)
        if self._open != path or self._put is None:
            self._join()
            self._put = _put(piece, self._args, steps, value)
        else:
            self._go_on(piece, *self._put, value)
        more = piece.get("willContinue")
        self._open = path if more is not None and more.flag() else None

    def _go_on(self, piece: Node, into: Any, step: str | int, value: Any) -> None:
        if not isinstance(into[step], str) or not isinstance(value, str | None):
            piece.fail("only a string goes on")
        self._pieces.append(value or "")

    def _join(self) -> None:
        if self._pieces and self._put is not None:
            into, step = self._put
            into[step] = "".join((into[step], *self._pieces))
            self._pieces.clear()


def _value(piece: Node) -> Any:
    name = next((name for name in _VALUES if name in piece.object()), None)
    member = None if name is None else piece.get(name)
    if member is None or name == "nullValue":
        return None
    if name == "stringValue":
        return member.text()
    return member.flag() if name == "boolValue" else member.number()


def _steps(piece: Node, path: str) -> list[str | int]:
    steps: list[str | int] = []
    place = 1
    while path.startswith("$") and place < len(path) and (step := _STEP.match(path, place)):
        place = step.end()
        steps.append(_step(step))
    if not steps or place < len(path) or len(steps) > MAX_DEPTH or isinstance(steps[0], int):
        piece.fail(f"'{path[:50]}' is no path of an argument")
    return steps


def _step(step: re.Match[str]) -> str | int:
    name, number, single, double = step.groups()
    if number is not None:
        return int(number)
    return str(name) if name is not None else _ESCAPED.sub(r"\1", single if single is not None else double)


def _put(piece: Node, into: Any, steps: list[str | int], value: Any) -> tuple[Any, str | int]:
    """Puts it there, and returns where: a container, and the step in it."""
    for step, after in pairwise(steps):
        into = _member(piece, into, step, [] if isinstance(after, int) else {})
    _member(piece, into, steps[-1], value)
    into[steps[-1]] = value
    return into, steps[-1]


def _member(piece: Node, into: Any, step: str | int, default: Any) -> Any:
    """What lies there, or the default, which is put there where nothing lay."""
    if isinstance(into, dict) and isinstance(step, str):
        return into.setdefault(step, default)
    if not isinstance(into, list) or not isinstance(step, int) or step > len(into):
        raise Malformed(piece.place, "this path does not fit those before it")
    if step == len(into):
        into.append(default)
    return into[step]
