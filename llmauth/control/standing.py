"""Which proxy this is: where it listens, and the certificate authority that it signs with."""

from __future__ import annotations

from typing import Any

from llmauth import __version__
from llmauth.control.lending import served
from llmauth.gateway import Gateway


def standing(gateway: Gateway) -> dict[str, Any]:
    """As configured at its start; a port of 0 is one that it chose itself. `tls_port` is null where it has none.

    `runner` is the process that it serves alone, null where it serves all.
    """
    server = gateway.settings.server
    with_tls = server.tls_cert_file is not None and server.tls_key_file is not None
    return {
        "version": __version__,
        "host": server.host,
        "port": server.port,
        "tls_port": server.tls_port if with_tls else None,
        "ca": gateway.authority.fingerprint(),
        "runner": served(gateway)["runner"],
    }
