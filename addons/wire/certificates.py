"""The certificates that clients see: leaves of our own CA in tunnels, the operator's own file on the TLS listener."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from mitmproxy import certs, ctx, tls
from mitmproxy.addons import tlsconfig
from mitmproxy.net import tls as net_tls
from mitmproxy.proxy import context
from mitmproxy.proxy.layers import HttpLayer

from addons.exchange import Exchanges
from addons.wire.chained import chained
from addons.wire.client_certificate import asking, forget_contexts, shown_by
from llmauth.ca import Authority, Leaf
from llmauth.regular import read_regular


class GatewayTls(tlsconfig.TlsConfig):
    """mitmproxy's TLS addon without its certificate store, which makes a CA unasked and reuses its key for leaves."""

    name = "tlsconfig"

    # The stock addon answers any path that ends like its revocation list; ours serves none.
    request = None  # type: ignore[assignment]

    def __init__(
        self,
        authority: Callable[[], Authority],
        exchanges: Exchanges,
        listener: certs.CertStoreEntry | None,
        clients: Callable[[], Sequence[x509.Certificate] | None] = lambda: None,
    ) -> None:
        """`authority` tells which one signs now, `clients` whose certificates the TLS port asks for."""
        self._authority = authority
        self._exchanges = exchanges
        self._listener = listener
        self._clients = clients
        # Read by the stock addon for its Diffie-Hellman parameters; every cipher we need brings its own.
        self.certstore = SimpleNamespace(dhparams=None)  # type: ignore[assignment]

    def show(self, listener: certs.CertStoreEntry | None) -> None:
        """From the next handshake on, this is what the TLS listener shows."""
        before, self._listener = self._listener, listener
        if before is not None and listener is not None and before.chain_certs != listener.chain_certs:
            # Contexts are kept by the path of the chain, and hold what stood there.
            net_tls.create_client_proxy_context.cache_clear()
            forget_contexts()

    def configure(self, updated: Any) -> None:
        """Nothing of the stock configuration applies."""

    def running(self) -> None:
        """The stock addon would read its store here."""

    def tls_start_client(self, tls_start: tls.TlsData) -> None:
        if tls_start.conn.error is not None:
            return
        super().tls_start_client(tls_start)
        # The stock addon keeps HTTP/2 from a client that may be one of a proxy, and elsewhere takes what a client names
        # first, which says little: httpx names HTTP/1.1 first when it was told to speak HTTP/2.
        assert tls_start.ssl_conn is not None
        both = ctx.options.http2 and b"h2" in tls_start.conn.alpn_offers
        tls_start.ssl_conn.get_app_data()["client_alpn"] = b"h2" if both else None
        of_listener = self._of_listener(tls_start.context)
        leaf = None if of_listener else self._leaf(tls_start.context)
        if leaf is not None and leaf.chain:
            tls_start.ssl_conn = chained(tls_start.ssl_conn, leaf, tls_start.conn.cipher_list or ())
        clients = self._clients()
        if clients is not None and self._listener is not None and of_listener:
            tls_start.ssl_conn = asking(tls_start.ssl_conn, self._listener, clients)

    def tls_established_client(self, established: tls.TlsData) -> None:
        """Keep what a client of the TLS listener showed: the handshake of a tunnel on this connection forgets it."""
        client = established.context.client
        if self._clients() is not None and self._of_listener(established.context):
            self._exchanges.peer(client).certificate = shown_by(client)

    def get_cert(self, conn_context: context.Context) -> certs.CertStoreEntry:
        """On the TLS listener, whatever name the client asks for, the operator's certificate; in a tunnel, a leaf.

        The leaf names the CONNECT target and nothing else: a hello with another name gets a certificate that does not
        fit it, and its requests are refused as misdirected besides.
        """
        if self._listener is not None and self._of_listener(conn_context):
            return self._listener
        leaf = self._leaf(conn_context)
        # The leaf's key is an elliptic curve one; mitmproxy is annotated for RSA only and hands it to OpenSSL as it is.
        return certs.CertStoreEntry(certs.Cert(leaf.certificate), leaf.private_key, None, [])  # type: ignore[arg-type]

    def _leaf(self, conn_context: context.Context) -> Leaf:
        tunnel = self._exchanges.peer(conn_context.client).tunnel
        if tunnel is None:
            raise LookupError("TLS outside a tunnel")
        return self._authority().leaf(tunnel.host)

    def _of_listener(self, conn_context: context.Context) -> bool:
        """Whether this handshake is the one with the TLS listener, and not that of a tunnel inside."""
        in_tunnel = any(isinstance(below, HttpLayer) for below in conn_context.layers)
        return not in_tunnel and self._listener is not None and self._exchanges.listens_tls(conn_context.client)


def read_listener(certificate: Path, key: Path) -> certs.CertStoreEntry:
    """The TLS listener's certificate, with its chain, and key; OSError or ValueError (a sentence) for unusable ones."""
    chain = _chain(certificate)
    private_key = _key(key)
    if chain[0].public_key() != private_key.public_key():
        raise ValueError(f"the first certificate belongs to another key than the one in {key}")
    rest = [certs.Cert(one) for one in chain]
    return certs.CertStoreEntry(rest[0], private_key, certificate, rest)  # type: ignore[arg-type]


def _chain(file: Path) -> list[x509.Certificate]:
    content = read_regular(file)
    try:
        return x509.load_pem_x509_certificates(content)
    except ValueError:
        raise ValueError("this file holds no certificate in PEM form") from None


def _key(file: Path) -> PrivateKeyTypes:
    content = read_regular(file)
    try:
        return load_pem_private_key(content, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ValueError(f"its key file {file} holds no private key in PEM form without a password") from None
