"""Request bodies in memory: collected without a second copy, and counted all together."""

from __future__ import annotations

from io import BytesIO
from typing import Self

from llmauth.config.limits import Limits, written
from llmauth.errors import BodyTooLarge, GatewayError, Unavailable

_RETRY = 5


class Held:
    """How many bytes of request bodies this process holds."""

    def __init__(self) -> None:
        self.bytes = 0


# Memory belongs to the process, whatever masters run in it.
held = Held()


def over_limit(limits: Limits, size: int, coming: int = 0) -> GatewayError | None:
    """Why a body of this size is refused, for itself or for what all take together; `coming` of it is still to come."""
    if size > limits.body_bytes:
        return BodyTooLarge(f"The request body is over the limit of {written(limits.body_bytes)}.", close=True)
    if held.bytes + coming > limits.buffered_bytes:
        message = "The requests that are being read take all the memory that they may."
        return Unavailable(message, detail="limits.buffered_bytes", retry_after=_RETRY, close=True)
    return None


class Body:
    """Takes the place of the buffer of mitmproxy's stream, and keeps its bytes counted until they are released.

    The stock buffer is copied once more when the body is whole. This one keeps a single piece as it came, and gives
    out several as the very bytes that it wrote them to.
    """

    __slots__ = ("_counted", "_first", "_more")

    def __init__(self) -> None:
        self._first = b""
        self._more: BytesIO | None = None
        self._counted = 0

    def __iadd__(self, data: bytes) -> Self:
        self._counted += len(data)
        held.bytes += len(data)
        if self._more is not None:
            self._more.write(data)
        elif self._first:
            self._more = BytesIO()
            self._more.write(self._first)
            self._more.write(data)
            self._first = b""
        else:
            self._first = data
        return self

    def __len__(self) -> int:
        return self._counted if self._first or self._more is not None else 0

    def __bytes__(self) -> bytes:
        return self._first if self._more is None else self._more.getvalue()

    def clear(self) -> None:
        """Forget the bytes, which are still counted: somebody else has them now."""
        self._first, self._more = b"", None

    def release(self) -> None:
        """Nobody needs the bytes any more."""
        self.clear()
        held.bytes -= self._counted
        self._counted = 0

    def __del__(self) -> None:
        held.bytes -= self._counted
