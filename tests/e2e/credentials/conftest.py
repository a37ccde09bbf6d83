"""AWS's own services as moto emulates them, and providers whose credentials may be rotated."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from moto.server import ThreadedMotoServer

from llmauth.demo.credentials import DemoCredentials
from llmauth.demo.emulators import Emulators


@pytest.fixture(scope="session")
def moto() -> Iterator[str]:
    """The URL of a server that takes whatever keys it is shown."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def providers() -> Iterator[Emulators]:
    """Of one test, which may have them take other credentials."""
    with Emulators(credentials=DemoCredentials.random(), tokens=2, pace=0) as emulators:
        yield emulators
