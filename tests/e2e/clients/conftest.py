"""A gateway with every door open, and the official SDKs, loaded once."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from llmauth.demo.certificates import Authority
from llmauth.demo.emulators import Emulators
from tests.e2e.clients.sdks import Sdks
from tests.fixtures.clouds import CLOUDS, cloud_environment
from tests.fixtures.serving import Serving, free_port, start
from tests.llmauth.demo.clients import cloud_interpreter


@pytest.fixture(scope="session")
def sdks() -> Iterator[Sdks]:
    sdks = Sdks()
    yield sdks
    sdks.close()


@pytest.fixture(scope="session")
def cloud_sdks() -> Iterator[Sdks]:
    """The SDKs of the other clouds; `credentials` are Google's."""
    sdks = Sdks(cloud_interpreter(), "openai", "anthropic", "google.genai", "google.oauth2.credentials")
    yield sdks
    sdks.close()


def _with_every_door(folder: Path, emulators: Emulators, **options: Any) -> Serving:
    """Also over TLS, with a certificate for localhost whose CA is in the clients' bundle, as a company's root is."""
    authority = Authority.create()
    pem = folder / "listener.pem"
    pem.write_bytes(authority.issue(["localhost"]))
    pem.chmod(0o600)
    tls = {"tls_port": free_port(), "tls_cert_file": str(pem), "tls_key_file": str(pem)}
    serving = start(folder, emulators, server=tls, **options)
    serving.bundle.write_bytes(serving.bundle.read_bytes() + authority.pem)
    serving.key()
    return serving


@pytest.fixture(scope="session")
def shared_gateway(tmp_path_factory: pytest.TempPathFactory, shared_emulators: Emulators) -> Iterator[Serving]:
    serving = _with_every_door(tmp_path_factory.mktemp("doors"), shared_emulators)
    yield serving
    serving.stop()


@pytest.fixture(scope="session")
def shared_clouds(tmp_path_factory: pytest.TempPathFactory, shared_emulators: Emulators) -> Iterator[Serving]:
    environ = cloud_environment(shared_emulators)
    folder = tmp_path_factory.mktemp("clouds")
    serving = _with_every_door(folder, shared_emulators, instances=CLOUDS, environ=environ)
    yield serving
    serving.stop()


@pytest.fixture(scope="session")
def java_programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the compiled programs that know no proxy of their own."""
    if shutil.which("javac") is None:
        pytest.skip("there is no JDK here")
    folder = tmp_path_factory.mktemp("java")
    sources = [str(Path(__file__).with_name("java") / f"{name}.java") for name in ("Plain", "Handshake")]
    subprocess.run(["javac", "-d", str(folder), *sources], check=True, capture_output=True, timeout=60)
    return folder


@pytest.fixture
def clouds(shared_clouds: Serving, emulators: Emulators) -> Serving:
    """A gateway with several instances of Azure and of Vertex: leave it as you found it."""
    return shared_clouds
