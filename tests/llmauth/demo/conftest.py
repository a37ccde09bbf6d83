"""The emulators, started once, and the official SDKs, loaded once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from llmauth.demo.emulators import Emulators
from tests.llmauth.demo.clients import Clients, cloud_interpreter


@pytest.fixture(scope="session")
def running() -> Iterator[Emulators]:
    with Emulators(pace=0.0, echo_hosts=("unheard-of.example",)) as emulators:
        yield emulators


@pytest.fixture
def emulators(running: Emulators) -> Iterator[Emulators]:
    """Running emulators that remember nothing; what a test changes is put back."""
    running.clear()
    credentials = running.credentials
    yield running
    running.credentials = credentials
    running.clear()


@pytest.fixture(scope="session")
def clients() -> Iterator[Clients]:
    clients = Clients()
    yield clients
    clients.close()


@pytest.fixture(scope="session")
def cloud_clients() -> Iterator[Clients]:
    """The same for the clients of the other clouds."""
    clients = Clients(cloud_interpreter())
    yield clients
    clients.close()
