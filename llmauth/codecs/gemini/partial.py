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
    """One call while it comes: `args` is what is known of its arguments."""

    __slots__ = ("_open", "args", "id", "name", "signature")

    def __init__(self, name: str, call_id: str, signature: str | None) -> None:
        self.name = name
        self.id = call_id
        self.signature = signature
        self.args: dict[str, Any] = {}
        self._open: str | None = None  # the path of a string that is not complete

    def take(self, piece: Node) -> None:
        """One PartialArg; Malformed for a path that leads nowhere."""
        path = piece.need("jsonPath").text()
        steps = _steps(piece, path)
        value = _value(piece)
        goes_on = self._open == path
        _put(piece, self.args, steps, value, add=goes_on)
        more = piece.get("willContinue")
        self._open = path if more is not None and more.flag() else None


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


def _put(piece: Node, into: Any, steps: list[str | int], value: Any, *, add: bool) -> None:
    for step, after in pairwise(steps):
        into = _member(piece, into, step, [] if isinstance(after, int) else {})
    if not add:
        _member(piece, into, steps[-1], value)
        into[steps[-1]] = value
    elif not isinstance(into[steps[-1]], str) or not isinstance(value, str | None):
        piece.fail("only a string goes on")
    else:
        into[steps[-1]] += value or ""


def _member(piece: Node, into: Any, step: str | int, default: Any) -> Any:
    """What lies there, or the default, which is put there where nothing lay."""
    if isinstance(into, dict) and isinstance(step, str):
        return into.setdefault(step, default)
    if not isinstance(into, list) or not isinstance(step, int) or step > len(into):
        raise Malformed(piece.place, "this path does not fit those before it")
    if step == len(into):
        into.append(default)
    return into[step]
