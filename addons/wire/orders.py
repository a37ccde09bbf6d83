"""What our layers ask of the connection they run on, beside what mitmproxy's own commands can say."""

from __future__ import annotations

from collections.abc import Callable

from mitmproxy.connection import Connection
from mitmproxy.proxy import commands


class Reading(commands.ConnectionCommand):
    """Read no more from a connection until told to go on: whom its bytes are for does not take them."""

    wanted: bool

    def __init__(self, connection: Connection, *, wanted: bool) -> None:
        super().__init__(connection)
        self.wanted = wanted


class AwaitDrain(commands.RequestWakeup):
    """A wake-up that comes when the server drains. `unsent` counts the bytes that the layer still holds back."""

    unsent: Callable[[], int]

    def __init__(self, unsent: Callable[[], int]) -> None:
        super().__init__(0.0)
        self.unsent = unsent
