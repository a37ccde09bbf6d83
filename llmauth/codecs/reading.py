"""Reading JSON of others: every member by its type, and a fault named by its place."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, NoReturn

MAX_DEPTH = 100
MAX_CONTAINERS = 500_000
MAX_NAMES = 1_000_000
MAX_MEMBERS = 2_000_000
_SHORT = 64 * 1024
_read = json.JSONDecoder().raw_decode
_UNTOLD = re.compile(r"[^A-Za-z0-9_.-]")
_KINDS = {dict: "an object", list: "a list", str: "a string", bool: "true or false", int: "a number", float: "a number"}


class Malformed(Exception):
    """What was read is not what the format says. `place` is a path such as `messages[2].content`, or empty."""

    def __init__(self, place: str, fault: str) -> None:
        super().__init__(f"{place}: {fault}" if place else fault)
        self.place = place
        self.fault = fault


def text_of(body: bytes | str) -> str:
    """A body as text. Malformed where it holds more lists, objects, names or members than anybody's chat: to read those
    would take seconds; and where it is not UTF-8, as "JSON text exchanged between systems MUST be" (RFC 8259, 8.1).
    """
    try:
        text = body if isinstance(body, str) else str(body, "utf-8")
    except UnicodeDecodeError:
        raise Malformed("", "not valid UTF-8") from None
    if len(text) > _SHORT and _is_too_much(text):
        raise Malformed(
            "", f"holds more than {MAX_CONTAINERS} lists and objects, {MAX_NAMES} names, or {MAX_MEMBERS} members"
        )
    return text


def _is_too_much(text: str) -> bool:
    containers = text.count("{") + text.count("[")
    return containers > MAX_CONTAINERS or text.count(":") > MAX_NAMES or text.count(",") > MAX_MEMBERS


def tellable(name: str, longest: int = 80) -> str:
    """A member's name as far as it can stand in a header: a client wrote it, and is told it there."""
    return _UNTOLD.sub("?", name[:longest])


def parse(body: bytes | str) -> Any:
    """JSON to Python values; Malformed for what is no JSON, for NaN, for a name twice in one object, for deep nesting.

    "The names within an object SHOULD be unique" (RFC 8259, 4): of two readers, one could take the first, one the last.
    """
    try:
        value = json.loads(text_of(body), object_pairs_hook=_unique, parse_constant=_no_constant, parse_float=_finite)
    except RecursionError:
        raise Malformed("", "nested too deeply") from None
    except json.JSONDecodeError as error:
        raise Malformed("", f"not valid JSON: {error.msg} at character {error.pos}") from None
    except ValueError:  # Python reads no whole number of more than 4300 digits
        raise Malformed("", "holds a number that is too long") from None
    if _depth(value) > MAX_DEPTH:
        raise Malformed("", f"nested more than {MAX_DEPTH} levels deep")
    return value


def parse_fast(body: bytes | str) -> Any:
    """JSON of a provider: the last of two equal names counts, as in its own clients; Malformed as above."""
    try:
        text = text_of(body)
        if text[:1] in "{[":
            value, end = _read(text)
            if end == len(text):
                return value
        return json.loads(text)  # with blanks around it, or no JSON at all
    except RecursionError:
        raise Malformed("", "nested too deeply") from None
    except ValueError as error:
        raise Malformed("", f"not valid JSON: {str(error)[:80]}") from None


class Node:
    """A value and its place. Every getter raises Malformed for a wrong type; an absent or null member is no Node."""

    __slots__ = ("place", "value")

    def __init__(self, value: Any, place: str = "") -> None:
        self.value = value
        self.place = place

    def fail(self, fault: str) -> NoReturn:
        """This value is not what it should be."""
        raise Malformed(self.place, fault)

    def _expected(self, kind: str) -> NoReturn:
        found = "null" if self.value is None else _KINDS.get(type(self.value), "something else")
        self.fail(f"expected {kind}, found {found}")

    def object(self) -> dict[str, Any]:
        """The value as an object."""
        if not isinstance(self.value, dict):
            self._expected("an object")
        return self.value

    def text(self) -> str:
        """The value as a string."""
        if not isinstance(self.value, str):
            self._expected("a string")
        return self.value

    def flag(self) -> bool:
        """The value as true or false."""
        if not isinstance(self.value, bool):
            self._expected("true or false")
        return self.value

    def integer(self, least: int | None = None, most: int | None = None) -> int:
        """The value as a whole number; `1.0` is one, as in JSON Schema."""
        value = self.value
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            self._expected("a whole number")
        self._within(value, least, most)
        return int(value)

    def number(self, least: float | None = None, most: float | None = None) -> float:
        """The value as a number."""
        if isinstance(self.value, bool) or not isinstance(self.value, int | float):
            self._expected("a number")
        self._within(self.value, least, most)
        return self.value

    def _within(self, value: float, least: float | None, most: float | None) -> None:
        if (least is not None and value < least) or (most is not None and value > most):
            self.fail(f"must be {_range(least, most)}, is {str(value)[:20]}")

    def one_of(self, *allowed: str) -> str:
        """The value as one of these strings."""
        text = self.text()
        if text not in allowed:
            self.fail(f"'{text[:50]}' is none of {', '.join(allowed)}")
        return text

    def items(self) -> Iterator[Node]:
        """The elements of a list."""
        if not isinstance(self.value, list):
            self._expected("a list")
        for number, item in enumerate(self.value):
            yield Node(item, f"{self.place}[{number}]")

    def get(self, name: str) -> Node | None:
        """A member, `None` where it is absent or null."""
        value = self.object().get(name)
        return None if value is None else Node(value, f"{self.place}.{name}" if self.place else name)

    def need(self, name: str) -> Node:
        """A member that must be there."""
        member = self.get(name)
        if member is None:
            raise Malformed(f"{self.place}.{name}" if self.place else name, "is required")
        return member

    def text_of(self, name: str, default: str = "") -> str:
        """A member as a string, or the default where it is absent or null."""
        member = self.get(name)
        return default if member is None else member.text()

    def count_of(self, name: str) -> int:
        """A member as a number that is not negative, 0 where it is absent or null."""
        member = self.get(name)
        return 0 if member is None else member.integer(0)

    def list_of(self, name: str) -> list[Node]:
        """The elements of a member, none where it is absent or null."""
        member = self.get(name)
        return [] if member is None else list(member.items())


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise Malformed("", f"the name '{name[:50]}' stands twice in one object")
            seen.add(name)
    return value


def _no_constant(text: str) -> NoReturn:
    raise Malformed("", f"{text} is no JSON value")


def _finite(text: str) -> float:
    """A number that grows to infinity here could not be written as JSON again."""
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise Malformed("", f"the number {text[:20]} is too large")
    return number


def _depth(value: Any) -> int:
    """How deep lists and objects lie in each other; without recursion."""
    depth, level = 0, [value]
    while level := [inner for outer in level for inner in _inside(outer)]:
        depth += 1
    return depth


def _inside(value: Any) -> Any:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _range(least: float | None, most: float | None) -> str:
    if least is None:
        return f"at most {most}"
    return f"at least {least}" if most is None else f"between {least} and {most}"
