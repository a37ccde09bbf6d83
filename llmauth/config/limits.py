"""The section `limits`: how much a client may send, how long anything may take, and how many may be connected."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from llmauth.config.sections import Duration, Section
from llmauth.screening import HeadLimits

_SIZE = re.compile(r"([0-9]{1,15}) ?(B|KiB|MiB|GiB)?")
_BYTES = {None: 1, "B": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}
_NEVER = ("off", False)
_MIB = 1024**2


def _size(value: object) -> int:
    text = str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
    match = _SIZE.fullmatch(text)
    if match is None:
        raise ValueError(
            f"{text[:40]!r} is not a size; write a whole number and KiB, MiB or GiB, such as 32MiB, or bytes"
        )
    return int(match[1]) * _BYTES[match[2]]


def _count(value: object) -> object:
    if isinstance(value, bool):  # Python counts `true` as 1
        raise ValueError("not a whole number")
    return value


def _never(value: object) -> object:
    return None if value in _NEVER else value


def _head(size: int) -> int:
    # A head is looked through again with each piece of it that comes.
    if size > _MIB:
        raise ValueError("more than a head may have; write 1MiB or less")
    return size


Size = Annotated[int, BeforeValidator(_size), Field(gt=0)]
"""Bytes, written `64KiB`, `32MiB` or `1GiB`; a bare number counts bytes."""
Count = Annotated[int, BeforeValidator(_count), Field(gt=0)]
DurationOrOff = Annotated[Duration | None, BeforeValidator(_never)]
"""Seconds, or `off`."""


class Limits(Section):
    """What clients and providers may ask of us. Sizes are bytes, times seconds; `connections` may be left to us."""

    head_bytes: Annotated[Size, AfterValidator(_head)] = 64 * 1024
    head_fields: Count = 200
    url_bytes: Size = 16 * 1024
    body_bytes: Size = 32 * _MIB
    buffered_bytes: Size = 1024 * _MIB
    head_timeout: Duration = 15.0
    body_timeout: Duration = 300.0
    body_silence: Duration = 30.0
    answer_silence: Duration = 120.0
    exchange_timeout: DurationOrOff = 3600.0
    idle_timeout: Duration = 600.0
    write_timeout: Duration = 60.0
    connections: Count | None = None
    unproved_connections: Count = 1000
    unproved_per_source: Count = 500

    @property
    def head(self) -> HeadLimits:
        """What screening asks of a head."""
        return HeadLimits(fields=self.head_fields, head=self.head_bytes, url=self.url_bytes)

    @model_validator(mode="before")
    @classmethod
    def _room_for_one(cls, values: Any) -> Any:
        """Every body that is allowed must fit into what all of them may take together."""
        if isinstance(values, dict):
            body, together = values.get("body_bytes", "32MiB"), values.get("buffered_bytes", "1GiB")
            try:
                short = _size(together) < _size(body)
            except ValueError:
                return values  # told by the field itself
            if short:
                raise ValueError("buffered_bytes is less than body_bytes, so that no such body would ever fit")
        return values


def written(size: int) -> str:
    """A size as it is written in the configuration."""
    for unit in ("GiB", "MiB", "KiB"):
        if size % _BYTES[unit] == 0:
            return f"{size // _BYTES[unit]} {unit}"
    return f"{size} bytes"
