"""Asks the clients of the TLS listener for a certificate, and takes any: who made it is judged with each request."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from mitmproxy import certs, ctx
from mitmproxy.addons import tlsconfig
from mitmproxy.connection import Client
from mitmproxy.net import tls
from OpenSSL import SSL

# The names go into every handshake, and browsers and Java choose by them; a list that long would tell nobody anything.
_MOST_NAMES = 50


def asking(
    stock: SSL.Connection, entry: certs.CertStoreEntry, authorities: Sequence[x509.Certificate]
) -> SSL.Connection:
    """A handshake like the stock one, that asks for a certificate of these authorities; a client without one goes on.

    It has a context of its own: those of the stock addon are shared, and one that was used cannot be changed.
    """
    names = tuple(authorities) if len(authorities) <= _MOST_NAMES else ()
    versions = ctx.options.tls_version_client_min, ctx.options.tls_version_client_max
    made = SSL.Connection(_context(entry.chain_file, names, *versions))
    made.use_certificate(entry.cert.to_cryptography())
    made.use_privatekey(entry.privatekey)
    made.set_app_data(stock.get_app_data())
    made.set_accept_state()
    return made


def shown_by(client: Client) -> tuple[bytes, ...]:
    """What a client showed in the handshake that ended last: its own certificate first, in DER."""
    return tuple(one.to_cryptography().public_bytes(Encoding.DER) for one in client.certificate_list)


def forget_contexts() -> None:
    """The files that they were made of hold something else now."""
    _context.cache_clear()


@lru_cache(maxsize=4)
def _context(chain_file: Path | None, authorities: tuple[x509.Certificate, ...], low: str, high: str) -> SSL.Context:
    """As the stock addon makes one, and kept like its own: what a handshake costs is not to be paid twice."""
    lowest = tls.Version[low]
    context: SSL.Context = tls.create_client_proxy_context.__wrapped__(
        method=tls.Method.TLS_SERVER_METHOD,
        min_version=lowest,
        max_version=tls.Version[high],
        cipher_list=tuple(tlsconfig._default_ciphers(lowest)),
        ecdh_curve=None,
        chain_file=chain_file,
        alpn_select_callback=tlsconfig.alpn_select_callback,
        request_client_cert=True,
        extra_chain_certs=(),
        dhparams=None,
    )
    context.set_verify(SSL.VERIFY_PEER, _accept)
    for one in authorities:
        context.add_client_ca(one)
    # "If the session is resumed the chain is not available" (SSL_get_peer_cert_chain), and OpenSSL fails a resumption
    # where certificates are asked for without a session id context. So each connection shows its certificate anew.
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_options(SSL.OP_NO_TICKET)
    return context


def _accept(*told: Any) -> bool:
    """Any: that the client holds the key is proved beside this, and a refusal here would be a TLS error that says
    nothing."""
    return True
