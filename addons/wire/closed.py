"""A layer that closes its connection: the answer to bytes that no layer of ours should read."""

from __future__ import annotations

from mitmproxy.proxy import commands, events, layer


class Closed(layer.Layer):
    """Closes the client connection at once and swallows whatever still arrives."""

    def _handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        if isinstance(event, events.Start):
            yield commands.CloseConnection(self.context.client)
