"""What a connection and its layers tell each other beyond mitmproxy's own events and commands."""

from __future__ import annotations

from dataclasses import dataclass

from mitmproxy import flow, http
from mitmproxy.connection import Connection
from mitmproxy.proxy import commands, events

from llmauth.errors import GatewayError


@dataclass
class Overdue(events.Event):
    """A client took too long: over the body of this flow's request, or without a flow over a head."""

    flow: http.HTTPFlow | None = None


class WhenWritten(commands.RequestWakeup):
    """Asks to be woken when what was written to a connection has left; at once when that is closed.

    It is a wakeup to every layer on the way, so that each leads the answer back to who asked.
    """

    def __init__(self, connection: Connection) -> None:
        super().__init__(0.0)
        self.connection = connection


class Stopped(flow.Error):
    """A request was stopped on its way in, for the reason that `error` tells the client."""

    def __init__(self, error: GatewayError) -> None:
        super().__init__(error.message)
        self.error = error
