"""Sees the beginning of what a client is sent, as it is sent; it delays nothing and keeps no more than is shown."""

from __future__ import annotations

from collections.abc import Callable

from addons.viewing.bodies import KEPT


class Onlooker:
    """Of one answer. `tell` is called when there is more to be seen than at the last `look`."""

    __slots__ = ("_data", "_tell", "_told", "total")

    def __init__(self, tell: Callable[[], None]) -> None:
        self._data = bytearray()
        self._tell = tell
        self._told = False
        self.total = 0

    def feed(self, data: bytes) -> None:
        """The next bytes."""
        self.total += len(data)
        room = KEPT - len(self._data)
        if room > 0:
            self._data += data[:room]
            if not self._told:
                self._told = True
                self._tell()

    def look(self) -> bytes:
        """The beginning, so far."""
        self._told = False
        return bytes(self._data)

    def __len__(self) -> int:
        return len(self._data)
