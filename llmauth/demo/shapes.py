"""Small checks for JSON requests, so that an emulator refuses what its provider refuses and names the field."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any

Check = Callable[[Any], None]


class Fault(Enum):
    """What is wrong with a field."""

    MISSING = "missing"
    UNKNOWN = "unknown"
    WRONG = "wrong"


class Mismatch(Exception):
    """A request that has not the shape it must have: where, and what was wanted there."""

    def __init__(self, fault: Fault, wanted: str, path: str = "") -> None:
        super().__init__(f"{path}: {wanted}")
        self.fault = fault
        self.wanted = wanted
        self.path = path

    def under(self, step: str) -> Mismatch:
        """The same fault, one level further out."""
        joint = "" if not self.path or self.path.startswith("[") else "."
        return Mismatch(self.fault, self.wanted, f"{step}{joint}{self.path}")


def _wrong(wanted: str) -> Mismatch:
    return Mismatch(Fault.WRONG, f"expected {wanted}")


def anything(value: Any) -> None:
    """Accepts every value."""


def text(value: Any) -> None:
    """A string."""
    if not isinstance(value, str):
        raise _wrong("a string")


def filled(value: Any) -> None:
    """A string that is not empty."""
    if not isinstance(value, str) or not value:
        raise _wrong("a string that is not empty")


def flag(value: Any) -> None:
    """true or false."""
    if not isinstance(value, bool):
        raise _wrong("true or false")


def mapping(value: Any) -> None:
    """An object with any members."""
    if not isinstance(value, dict):
        raise _wrong("an object")


def integer(low: int, high: int = 2**31) -> Check:
    """A whole number from `low` to `high`."""

    def check(value: Any) -> None:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise _wrong(f"a whole number from {low} to {high}")

    return check


def number(low: float, high: float) -> Check:
    """A number from `low` to `high`."""

    def check(value: Any) -> None:
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
            raise _wrong(f"a number from {low:g} to {high:g}")

    return check


def number_of(*values: int) -> Check:
    """One of these numbers."""

    def check(value: Any) -> None:
        if type(value) is not int or value not in values:
            raise _wrong(f"one of {', '.join(map(str, values))}")

    return check


def one_of(*values: str) -> Check:
    """One of these strings."""

    def check(value: Any) -> None:
        if value not in values:
            raise _wrong(f"one of {', '.join(values)}")

    return check


def matching(pattern: str) -> Check:
    """A string that the pattern matches whole."""
    compiled = re.compile(pattern)

    def check(value: Any) -> None:
        if not isinstance(value, str) or not compiled.fullmatch(value):
            raise _wrong(f"a string that matches {pattern}")

    return check


def optional(inner: Check) -> Check:
    """null, or what `inner` accepts."""

    def check(value: Any) -> None:
        if value is not None:
            inner(value)

    return check


def text_or(inner: Check) -> Check:
    """A string, or what `inner` accepts."""

    def check(value: Any) -> None:
        if not isinstance(value, str):
            inner(value)

    return check


def list_of(inner: Check, *, least: int = 0, most: int = 100_000) -> Check:
    """A list of `least` to `most` items."""

    def check(value: Any) -> None:
        if not isinstance(value, list) or not least <= len(value) <= most:
            raise _wrong(
                f"a list of at least {least} items" if most == 100_000 else f"a list of {least} to {most} items"
            )
        for position, item in enumerate(value):
            try:
                inner(item)
            except Mismatch as mismatch:
                raise mismatch.under(f"[{position}]") from None

    return check


def record(members: Mapping[str, Check], *required: str, closed: bool = True) -> Check:
    """An object with these members; `closed` refuses others."""

    def check(value: Any) -> None:
        mapping(value)
        for name in required:
            if name not in value:
                raise Mismatch(Fault.MISSING, "is required", name)
        for name, item in value.items():
            inner = members.get(name)
            if inner is not None:
                try:
                    inner(item)
                except Mismatch as mismatch:
                    raise mismatch.under(name) from None
            elif closed:
                raise Mismatch(Fault.UNKNOWN, "is not known here", name)

    return check


def tagged(kinds: Mapping[str, Check], tag: str = "type") -> Check:
    """An object whose member `tag` tells which of `kinds` it must be."""

    def check(value: Any) -> None:
        mapping(value)
        kind = value.get(tag)
        if not isinstance(kind, str):
            raise Mismatch(Fault.MISSING, "is required", tag)
        inner = kinds.get(kind)
        if inner is None:
            raise _wrong(f"one of {', '.join(kinds)}").under(tag)
        inner(value)

    return check


def union(members: Mapping[str, Check]) -> Check:
    """An object with exactly one of these members."""
    shape = record(members)

    def check(value: Any) -> None:
        shape(value)
        if len(value) != 1:
            raise _wrong("an object with exactly one member")

    return check
