"""One gateway and one set of emulated providers for all tests that do not change them; a factory for those that do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from llmauth.demo.emulators import Emulators
from tests.fixtures.serving import Serving, start


@pytest.fixture(scope="session")
def shared_emulators() -> Iterator[Emulators]:
    with Emulators(pace=0.002, tokens=12) as emulators:
        yield emulators


@pytest.fixture(scope="session")
def shared_gateway(tmp_path_factory: pytest.TempPathFactory, shared_emulators: Emulators) -> Iterator[Serving]:
    serving = start(tmp_path_factory.mktemp("gateway"), shared_emulators)
    serving.key()
    yield serving
    serving.stop()


@pytest.fixture
def emulators(shared_emulators: Emulators) -> Iterator[Emulators]:
    """The shared emulators, with an empty record and an empty script."""
    shared_emulators.clear()
    yield shared_emulators
    shared_emulators.clear()


@pytest.fixture
def gateway(shared_gateway: Serving, emulators: Emulators) -> Serving:
    """The shared gateway: leave it as you found it."""
    return shared_gateway


@pytest.fixture
def serve(tmp_path: Path, emulators: Emulators) -> Iterator[Callable[..., Serving]]:
    """A gateway of the test's own; takes what `tests.fixtures.serving.start` takes, beside folder and emulators."""
    running: list[Serving] = []

    def begin(**options: Any) -> Serving:
        folder = tmp_path / f"gateway-{len(running)}"
        folder.mkdir()
        running.append(start(folder, options.pop("emulators", emulators), **options))
        return running[-1]

    yield begin
    for serving in running:
        if serving.process.poll() is None:
            serving.stop()
