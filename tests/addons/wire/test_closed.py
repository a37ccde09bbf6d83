from __future__ import annotations

from mitmproxy.proxy import commands, events

from addons.wire.closed import Closed
from tests.addons.layers import context, play


def test_the_connection_is_closed_and_nothing_more_is_read() -> None:
    made = context()
    layer = Closed(made)
    (done,) = play(layer, events.Start())
    assert isinstance(done, commands.CloseConnection)
    assert done.connection is made.client
    assert play(layer, events.DataReceived(made.client, b"GET / HTTP/1.1\r\n\r\n")) == []
    assert play(layer, events.ConnectionClosed(made.client)) == []
