"""A handshake that shows the certificates between a leaf and the root that clients trust."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from cryptography import x509
from mitmproxy import ctx
from mitmproxy.addons import tlsconfig
from mitmproxy.net import tls
from OpenSSL import SSL

from llmauth.ca import Leaf


def chained(stock: SSL.Connection, leaf: Leaf, ciphers: Sequence[str]) -> SSL.Connection:
    """A handshake like the stock one, with the whole chain of the leaf.

    It has a context of its own: those of the stock addon are shared by all who ask for the like, and know no chain.
    """
    versions = ctx.options.tls_version_client_min, ctx.options.tls_version_client_max
    made = SSL.Connection(_context(leaf.chain, tuple(ciphers), *versions))
    made.use_certificate(leaf.certificate)
    made.use_privatekey(leaf.private_key)
    made.set_app_data(stock.get_app_data())
    made.set_accept_state()
    return made


@lru_cache(maxsize=16)
def _context(chain: tuple[x509.Certificate, ...], ciphers: tuple[str, ...], low: str, high: str) -> SSL.Context:
    """As the stock addon makes one, and kept like its own."""
    lowest = tls.Version[low]
    context: SSL.Context = tls.create_client_proxy_context.__wrapped__(
        method=tls.Method.TLS_SERVER_METHOD,
        min_version=lowest,
        max_version=tls.Version[high],
        cipher_list=ciphers or tuple(tlsconfig._default_ciphers(lowest)),
        ecdh_curve=tls.get_curve(ctx.options.tls_ecdh_curve_client),
        chain_file=None,
        alpn_select_callback=tlsconfig.alpn_select_callback,
        request_client_cert=False,
        extra_chain_certs=(),
        dhparams=None,
    )
    for one in chain:
        context.add_extra_chain_cert(one)
    return context
