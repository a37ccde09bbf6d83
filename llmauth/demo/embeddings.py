"""Vectors of texts, as an emulated model embeds them: the same text has the same vector, and another has another."""

from __future__ import annotations

import base64
import hashlib
import math
import struct
from collections.abc import Sequence


def vector(text: str, size: int) -> list[float]:
    """A vector of length 1 that the text alone decides; each number is one of single precision."""
    stream = hashlib.shake_256(text.encode("utf-8", "surrogatepass")).digest(size)
    raw = [byte - 127.5 for byte in stream]
    length = math.sqrt(sum(number * number for number in raw))
    # As 32 bits hold it, so that a number is the same in JSON and in base64.
    return list(struct.unpack(f"<{size}f", struct.pack(f"<{size}f", *(number / length for number in raw))))


def packed(values: Sequence[float]) -> str:
    """The vector as little-endian floats of 32 bits, in base64."""
    return base64.b64encode(struct.pack(f"<{len(values)}f", *values)).decode("ascii")


def signs(values: Sequence[float]) -> list[int]:
    """The vector as bits: whether each number is positive."""
    return [int(value > 0) for value in values]
