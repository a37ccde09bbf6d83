"""A gateway with every door open, and the official SDKs, loaded once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from llmauth.demo.certificates import Authority
from llmauth.demo.emulators import Emulators
from tests.e2e.clients.sdks import Sdks
from tests.fixtures.serving import Serving, free_port, start


@pytest.fixture(scope="session")
def sdks() -> Iterator[Sdks]:
    sdks = Sdks()
    yield sdks
    sdks.close()


@pytest.fixture(scope="session")
def shared_gateway(tmp_path_factory: pytest.TempPathFactory, shared_emulators: Emulators) -> Iterator[Serving]:
    """Also over TLS, with a certificate for localhost whose CA is in the clients' bundle, as a company's root is."""
    folder = tmp_path_factory.mktemp("doors")
    authority = Authority.create()
    pem = folder / "listener.pem"
    pem.write_bytes(authority.issue(["localhost"]))
    pem.chmod(0o600)
    tls = {"tls_port": free_port(), "tls_cert_file": str(pem), "tls_key_file": str(pem)}
    serving = start(folder, shared_emulators, server=tls)
    serving.bundle.write_bytes(serving.bundle.read_bytes() + authority.pem)
    serving.key()
    yield serving
    serving.stop()
