"""What a client of a tunnel is shown: its leaf and what signed that, up to the root that it has."""

from __future__ import annotations

import socket
from pathlib import Path

from cryptography import x509
from OpenSSL import SSL

from llmauth.demo.emulators import Emulators
from tests.fixtures.master import run


def test_the_chain_reaches_the_root_and_leaves_it_out(tmp_path: Path) -> None:
    with Emulators() as emulators:
        running = run(tmp_path, emulators)
        try:
            root = x509.load_pem_x509_certificate(running.ca_file.read_bytes())
            shown = _shown(running.port)
        finally:
            running.stop()
    assert len(shown) == 2
    shown[0].verify_directly_issued_by(shown[1])
    shown[1].verify_directly_issued_by(root)


def _shown(port: int) -> list[x509.Certificate]:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as plain:
        plain.sendall(b"CONNECT api.openai.com:443 HTTP/1.1\r\nHost: api.openai.com:443\r\n\r\n")
        assert plain.recv(4096).startswith(b"HTTP/1.1 200")
        plain.settimeout(None)
        client = SSL.Connection(SSL.Context(SSL.TLS_CLIENT_METHOD), plain)
        client.set_tlsext_host_name(b"api.openai.com")
        client.set_connect_state()
        client.do_handshake()
        return list(client.get_peer_cert_chain(as_cryptography=True) or ())
