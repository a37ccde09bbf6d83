"""Leaves as real clients judge them: accepted below the CA's domains, refused elsewhere even from a stolen key."""

import os
import shutil
import socket
import ssl
import subprocess
import threading
from pathlib import Path

import pytest

from llmauth.ca import Authority
from tests.llmauth.ca.samples import pem


def strict(authority: Authority) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=authority.certificate_pem())
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    return context


def handshake(authority: Authority, host: str, file: Path) -> None:
    """A TLS handshake in memory between Python's ssl, strict, and a server with the leaf; raises its error."""
    file.write_bytes(pem(authority.leaf(host)))
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_context.load_cert_chain(file)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = strict(authority).wrap_bio(to_client, to_server, server_hostname=host)
    server = server_context.wrap_bio(to_server, to_client, server_side=True)
    for side in (client, server, client, server):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue


@pytest.mark.parametrize("host", ["api.openai.com", "bedrock-runtime.us-east-1.amazonaws.com", "llm.internal"])
def test_pythons_strict_verification_accepts_a_leaf(forged, tmp_path, host):
    handshake(forged, host, tmp_path / "leaf.pem")


def test_pythons_strict_verification_refuses_a_stolen_key_elsewhere(forged, tmp_path):
    with pytest.raises(ssl.SSLCertVerificationError, match="permitted subtree violation"):
        handshake(forged, "example.com", tmp_path / "leaf.pem")


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl")
@pytest.mark.parametrize(("host", "accepted"), [("api.openai.com", True), ("example.com", False)])
def test_openssl_agrees(forged, folder, tmp_path, host, accepted):
    (tmp_path / "leaf.pem").write_bytes(pem(forged.leaf(host)))
    command = ["openssl", "verify", "-x509_strict", "-purpose", "sslserver", "-verify_hostname", host]
    files = ["-CAfile", str(folder / "ca.pem"), "-untrusted", str(tmp_path / "leaf.pem"), str(tmp_path / "leaf.pem")]
    result = subprocess.run([*command, *files], capture_output=True, text=True, check=False)
    assert (result.returncode == 0, "permitted subtree violation" in result.stderr) == (accepted, not accepted)


class Server:
    """A TLS server on loopback that answers every connection with the leaf of one host."""

    def __init__(self, authority: Authority, host: str, file: Path) -> None:
        file.write_bytes(pem(authority.leaf(host)))
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(file)
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.thread = threading.Thread(target=self._serve)

    def __enter__(self) -> "Server":
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.thread.join(10)
        self.socket.close()

    def _serve(self) -> None:
        self.socket.settimeout(10)
        connection, _ = self.socket.accept()
        try:
            with self.context.wrap_socket(connection, server_side=True) as tls:
                tls.recv(4096)
                tls.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok")
        except OSError:
            connection.close()


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl")
@pytest.mark.parametrize(("host", "accepted"), [("api.openai.com", True), ("example.com", False)])
def test_curl_agrees(forged, folder, tmp_path, host, accepted):
    with Server(forged, host, tmp_path / "leaf.pem") as server:
        url = f"https://{host}:{server.port}/"
        resolve = ["--noproxy", "*", "--resolve", f"{host}:{server.port}:127.0.0.1"]
        command = ["curl", "-sS", "--cacert", str(folder / "ca.pem"), *resolve, url]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.stdout == ("ok" if accepted else "")
    assert ("permitted subtree violation" in result.stderr) is not accepted


NODE = """
const [port, host] = process.argv.slice(1);
require('https').get({host: '127.0.0.1', port, servername: host, path: '/'}, answer => {
  console.log(answer.statusCode); process.exit(0);
}).on('error', error => { console.log(error.message); process.exit(0); });
"""


@pytest.mark.skipif(shutil.which("node") is None, reason="no node")
@pytest.mark.parametrize(("host", "said"), [("api.openai.com", "200"), ("example.com", "permitted subtree violation")])
def test_node_agrees(forged, folder, tmp_path, host, said):
    environ = {**os.environ, "NODE_EXTRA_CA_CERTS": str(folder / "ca.pem")}
    with Server(forged, host, tmp_path / "leaf.pem") as server:
        command = ["node", "-e", NODE, str(server.port), host]
        result = subprocess.run(command, capture_output=True, text=True, check=False, env=environ)
    assert result.stdout.strip() == said
