"""A leaf for a host that our CA may not sign, signed with its key all the same, is refused by every client."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from textwrap import dedent

import pytest

from llmauth.ca import Authority, files
from llmauth.ca.leaves import Leaves
from llmauth.clients.served import ServedProxy
from llmauth.clients.trust import write_trust
from llmauth.clients.variables import environment
from tests.llmauth.ca.samples import pem

PERMITTED, OUTSIDE = "api.openai.com", "example.com"


def _context(leaves: Leaves, name: str) -> ssl.SSLContext:
    leaf = leaves.make(name, time.time())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.NamedTemporaryFile() as file:
        file.write(pem(leaf))
        file.flush()
        context.load_cert_chain(file.name)
    return context


def _serve(listener: socket.socket, context: ssl.SSLContext) -> None:
    while True:
        try:
            plain, _ = listener.accept()
        except OSError:
            return
        try:
            with context.wrap_socket(plain, server_side=True) as connection:
                connection.recv(4096)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
        except OSError:
            continue


@pytest.fixture(scope="module")
def thief(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, Mapping[str, str]]]:
    """A server of somebody who has our CA's key, which signs whatever it is asked for; and the clients' variables."""
    folder = tmp_path_factory.mktemp("thief")
    for name in ("ca", "trust"):
        (folder / name).mkdir(mode=0o700)
    root = Authority.load_or_create(folder / "ca", [PERMITTED], create=True).certificate_pem()
    leaves = Leaves(*files.read(folder / "ca"))
    contexts = {name: _context(leaves, name) for name in (PERMITTED, OUTSIDE)}
    first = contexts[PERMITTED]
    first.sni_callback = lambda connection, name, _: setattr(connection, "context", contexts.get(name or "", first))
    trust = write_trust(folder / "trust", root, {})
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=_serve, args=(listener, first), daemon=True).start()
        variables = dict(environment(ServedProxy(url="http://127.0.0.1:9"), None, trust, {"PATH": _path()}))
        yield listener.getsockname()[1], variables


def _path() -> str:
    return ":".join({str(Path(found).parent) for one in ("curl", "node", "java") if (found := shutil.which(one))})


def said(environ: Mapping[str, str], *command: str) -> str:
    done = subprocess.run(command, env=dict(environ), capture_output=True, text=True, timeout=60, check=False)
    return done.stdout + done.stderr


def test_curl(thief: tuple[int, Mapping[str, str]]) -> None:
    port, environ = thief
    for name, wanted in ((PERMITTED, "ok"), (OUTSIDE, "permitted subtree violation")):
        words = ("--noproxy", "*", "--resolve", f"{name}:{port}:127.0.0.1", f"https://{name}:{port}/")
        assert wanted in said(environ, "curl", "-sS", *words)


PYTHON = """
    import socket, ssl, sys
    for name in sys.argv[2:]:
        try:
            context = ssl.create_default_context()
            with socket.create_connection(("127.0.0.1", int(sys.argv[1]))) as plain:
                context.wrap_socket(plain, server_hostname=name).close()
            print(name, "ok")
        except ssl.SSLError as error:
            print(name, error.verify_message)
"""


def test_python(thief: tuple[int, Mapping[str, str]]) -> None:
    port, environ = thief
    told = said(environ, sys.executable, "-S", "-c", dedent(PYTHON), str(port), PERMITTED, OUTSIDE)
    assert told == f"{PERMITTED} ok\n{OUTSIDE} permitted subtree violation\n"


NODE = """
    const tls = require("node:tls");
    const [port, ...names] = process.argv.slice(1);
    for (const servername of names) {
      const socket = tls.connect({host: "127.0.0.1", port, servername});
      socket.on("secureConnect", () => { console.log(servername, "ok"); socket.destroy(); });
      socket.on("error", (error) => console.log(servername, error.message));
    }
"""


def test_node(thief: tuple[int, Mapping[str, str]]) -> None:
    if shutil.which("node") is None:
        pytest.skip("there is no Node here")
    port, environ = thief
    told = said(environ, "node", "-e", dedent(NODE), str(port), PERMITTED, OUTSIDE)
    assert f"{PERMITTED} ok" in told
    assert f"{OUTSIDE} permitted subtree violation" in told


def test_java(thief: tuple[int, Mapping[str, str]], java_programs: Path) -> None:
    """It asks a root that it trusts for no constraints: what holds it is the certificate between."""
    port, environ = thief
    told = said(environ, "java", "-cp", str(java_programs), "Handshake", str(port), PERMITTED, OUTSIDE)
    assert f"{PERMITTED} ok" in told
    refusal = next(line for line in told.splitlines() if line.startswith(OUTSIDE))
    assert "name constraints" in refusal.lower()
