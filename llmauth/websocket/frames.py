"""Follows frames by their heads alone, so that a frame of ours can stand between two, and makes those that are ours."""

from __future__ import annotations

import os
from enum import IntEnum

_CLOSE, _PING = 0x8, 0x9
_FINAL, _OPCODE, _MASKED, _LENGTH = 0x80, 0x0F, 0x80, 0x7F
_TWO_BYTES, _EIGHT_BYTES = 126, 127
_MASK = 4
# "All control frames MUST have a payload length of 125 bytes or less" (RFC 6455, 5.5); two of them are the code.
_LONGEST_REASON = 123


class Code(IntEnum):
    """Why a socket is closed, as its peers are told (RFC 6455, 7.4.1, and IANA's list)."""

    GOING_AWAY = 1001
    POLICY_VIOLATION = 1008
    TRY_AGAIN_LATER = 1013
    BAD_GATEWAY = 1014


class Edges:
    """One direction of a socket: where its frames begin and end, and whether it has said goodbye."""

    __slots__ = ("_head", "_left", "closed")

    def __init__(self) -> None:
        self._head = b""
        self._left = 0
        self.closed = False

    @property
    def at_edge(self) -> bool:
        """Whether the next byte begins a frame."""
        return not self._left and not self._head

    def follow(self, data: bytes, *, to_edge: bool = False) -> int:
        """Follow these bytes; how many were taken. With `to_edge` no more than the frame that is under way."""
        position, end = 0, len(data)
        while position < end and not (to_edge and self.at_edge):
            if self._left:
                taken = min(self._left, end - position)
                self._left -= taken
            else:
                taken = self._read_head(data, position)
            position += taken
        return position

    def _read_head(self, data: bytes, position: int) -> int:
        """Take one piece of a head; how many bytes it has."""
        piece = data[position : position + _length_of_head(self._head) - len(self._head)]
        self._head += piece
        if len(self._head) == _length_of_head(self._head):
            self.closed = self.closed or self._head[0] & _OPCODE == _CLOSE
            self._left = _length_of_payload(self._head)
            self._head = b""
        return len(piece)


def _length_of_head(head: bytes) -> int:
    """How long the head is, as far as its first bytes tell."""
    if len(head) < 2:
        return 2
    more = {_TWO_BYTES: 2, _EIGHT_BYTES: 8}.get(head[1] & _LENGTH, 0)
    return 2 + more + (_MASK if head[1] & _MASKED else 0)


def _length_of_payload(head: bytes) -> int:
    short = head[1] & _LENGTH
    if short < _TWO_BYTES:
        return short
    return int.from_bytes(head[2 : 4 if short == _TWO_BYTES else 10])


def close(code: Code, reason: str, *, masked: bool) -> bytes:
    """A Close frame; `masked` as a client sends it. The reason is ASCII, of at most 123 bytes."""
    return _control(_CLOSE, code.to_bytes(2) + reason.encode("ascii")[:_LONGEST_REASON], masked=masked)


def ping(*, masked: bool) -> bytes:
    """A Ping, which a peer that lives must answer."""
    return _control(_PING, b"", masked=masked)


def _control(opcode: int, payload: bytes, *, masked: bool) -> bytes:
    first = bytes([_FINAL | opcode])
    if not masked:
        return first + bytes([len(payload)]) + payload
    mask = os.urandom(_MASK)
    covered = bytes(byte ^ mask[i % _MASK] for i, byte in enumerate(payload))
    return first + bytes([_MASKED | len(payload)]) + mask + covered
