"""TLS that we end, with a bound on what is kept before the client's hello is whole."""

from __future__ import annotations

from mitmproxy.proxy import layer
from mitmproxy.proxy.layers import ClientTLSLayer

# Hellos with post-quantum keys have two kilobytes; the length field of one may say sixteen megabytes.
HELLO_LIMIT = 64 * 1024


class BoundedClientTls(ClientTLSLayer):
    """mitmproxy's layer, which would keep whatever a stranger calls the beginning of a hello."""

    def receive_handshake_data(self, data: bytes) -> layer.CommandGenerator[tuple[bool, str | None]]:
        if not self.client_hello_parsed and len(self.recv_buffer) + len(data) > HELLO_LIMIT:
            self.recv_buffer.clear()
            return False, "the TLS hello is over the limit"
        return (yield from super().receive_handshake_data(data))

    def receive_data(self, data: bytes) -> layer.CommandGenerator[None]:
        # What comes after a handshake that never began, the stock layer gives to nobody and fails.
        if self.tls is not None:
            yield from super().receive_data(data)
