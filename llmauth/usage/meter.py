"""A meter: it sees the bytes of one answer pass, and can be read at any time."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from llmauth.chat.messages import Usage
from llmauth.usage.told import Told, folded


class Reason(StrEnum):
    """Why the tokens of an answer are not known, or not all of them."""

    NOT_TOLD = "not_told"  # it ended well and told nothing: OpenAI's streams do where nobody asked them to tell
    CUT = "cut"  # it did not come to the place where it tells
    ENCODING = "encoding"  # its coding is none that we read
    CONTENT = "content_type"  # it is in no format that tells: sound, a picture, plain text
    TOO_LARGE = "too_large"  # what tells is longer than we keep, or what was decoded is
    BROKEN = "broken"  # it is not what its content type says
    OPERATION = "unknown_operation"  # a path that we know nothing of
    WEBSOCKET = "websocket"  # messages of a WebSocket pass unread


@dataclass(frozen=True, slots=True)
class Reading:
    """What a meter knows: the tokens as far as they were told, and why these are not all. None of both never is.

    `decoded` is how many bytes came of a compressed body, where it is one that is read.
    """

    usage: Usage | None
    lacks: Reason | None
    decoded: int = field(default=0, compare=False)


class Meter(Protocol):
    """Sees one answer pass. Nothing here raises, whatever the bytes; what is kept of them is bounded."""

    def feed(self, data: bytes) -> None:
        """The next bytes of the body, as they stand on the wire."""
        ...

    def reading(self, *, cut: bool = False) -> Reading:
        """What is known so far, in the middle or at the end; `cut` tells that the answer ended before its end."""
        ...


class Unread:
    """The meter of an answer that cannot be read; what its head told counts all the same."""

    __slots__ = ("_head", "_reason")

    def __init__(self, reason: Reason, head: Told | None = None) -> None:
        self._reason = reason
        self._head = head

    def feed(self, data: bytes) -> None:
        """Nothing."""

    def reading(self, *, cut: bool = False) -> Reading:
        """The head's numbers, where there are some."""
        return judged([] if self._head is None else [self._head], self._reason)


def judged(pieces: list[Told], otherwise: Reason) -> Reading:
    """The reading of these pieces; `otherwise` is why there is nothing, where there is nothing."""
    usage, final = folded(pieces)
    if usage is None:
        return Reading(None, otherwise)
    return Reading(usage, None if final else Reason.CUT)


def parsed(body: bytes | bytearray | str) -> Any:
    """JSON as Python values, `None` for what is none."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None
