"""Vectors of texts, as an emulated model embeds them: the same text has the same vector, and another has another."""

from __future__ import annotations

import base64
import hashlib
import math
import struct
from collections.abc import Sequence
from functools import lru_cache
from typing import Any


def vector(text: str, size: int) -> list[float]:
    """A vector of length 1 that the text alone decides; each number is one of single precision."""
    return list(_vector(text, size))


@lru_cache(maxsize=256)
def _vector(text: str, size: int) -> tuple[float, ...]:
    stream = hashlib.shake_256(text.encode("utf-8", "surrogatepass")).digest(size)
    raw = [byte - 127.5 for byte in stream]
    length = math.sqrt(sum(number * number for number in raw))
    # As 32 bits hold it, so that a number is the same in JSON and in base64.
    return struct.unpack(f"<{size}f", struct.pack(f"<{size}f", *(number / length for number in raw)))


def packed(values: Sequence[float]) -> str:
    """The vector as little-endian floats of 32 bits, in base64."""
    return base64.b64encode(struct.pack(f"<{len(values)}f", *values)).decode("ascii")


def signs(values: Sequence[float]) -> list[int]:
    """The vector as bits: whether each number is positive."""
    return [int(value > 0) for value in values]


def bits(values: Sequence[float], *, signed: bool) -> list[int]:
    """The same, eight to a byte, which counts from -128 where it is signed."""
    found = signs(values)
    whole = [int("".join(map(str, found[start : start + 8])), 2) for start in range(0, len(found), 8)]
    return [byte - 128 for byte in whole] if signed else whole


def by_type(kind: str, values: Sequence[float]) -> list[Any] | str:
    """The vector in one of Cohere's types."""
    match kind:
        case "int8":
            return [round(value * 127) for value in values]
        case "uint8":
            return [round(value * 127) + 128 for value in values]
        case "binary" | "ubinary":
            return bits(values, signed=kind == "binary")
        case "base64":
            return packed(values)
        case _:
            return list(values)
