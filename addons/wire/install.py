"""Puts our layers in the place of mitmproxy's own, after a check that this is the version they were tested with."""

from __future__ import annotations

import errno

from mitmproxy import http, version
from mitmproxy.proxy import mode_servers
from mitmproxy.proxy.layers import http as http_layers
from mitmproxy.proxy.layers.http import _http1

from addons.last_resort import error_page
from addons.wire.connection import GatewayConnection
from addons.wire.http1 import BoundedClient, BoundedServer
from addons.wire.http2 import BoundedHttp2
from addons.wire.stream import GatewayStream

TESTED_WITH = ("12.2.3",)


class UntestedVersion(OSError):
    """This mitmproxy is not one that the replacements were tested with; its text is a sentence for the operator."""


def install() -> None:
    """Put our layers in the place of mitmproxy's own, for every master of this process.

    mitmproxy looks these classes up as module globals each time it makes a layer, so one assignment holds everywhere.
    Raises UntestedVersion on another mitmproxy: a replacement that no longer fits would fail open in silence.
    """
    if version.VERSION not in TESTED_WITH:
        raise UntestedVersion(
            errno.ENOTSUP,
            f"mitmproxy {version.VERSION} is installed; this release was tested with {', '.join(TESTED_WITH)} only. "
            "Install the locked requirements.",
        )
    # Under `__debug__` mitmproxy checks the type of every field of every message it makes, which is a tenth of the time
    # of a request. Every message here is made by mitmproxy's own parser or by `convert`.
    http.MessageData.__post_init__ = lambda self: None  # type: ignore[method-assign]
    http_layers.HttpStream = GatewayStream  # type: ignore[misc]
    http_layers.Http1Client = BoundedClient  # type: ignore[misc]
    http_layers.Http1Server = BoundedServer  # type: ignore[misc]
    http_layers.Http2Server = BoundedHttp2  # type: ignore[misc, assignment]
    _http1.make_error_response = error_page
    mode_servers.ProxyConnectionHandler = GatewayConnection  # type: ignore[misc]
