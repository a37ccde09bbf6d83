"""One gateway and one set of emulated providers for all tests that do not change them; a factory for those that do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from llmauth.demo.emulators import Emulators
from tests.fixtures.leaks import leaks
from tests.fixtures.serving import Serving, start

_FOLDER = Path(__file__).parent
# The files that take longest, which begin first: a long one that begins last has the other processes wait for it.
_LONGEST = (
    "test_limits.py",
    "test_workers.py",
    "test_outages.py",
    "test_life.py",
    "test_alerts.py",
    "test_reload.py",
    "test_pages.py",
    "test_run.py",
    "test_drain.py",
    "test_sdk_features.py",
    "test_agent_loops.py",
    "test_websockets.py",
    "test_second_try.py",
    "test_starting.py",
    "test_http2_floods.py",
    "test_fuzz.py",
    "test_expiry.py",
    "test_claude_code_protocol.py",
    "test_claude_code.py",
    "test_realtime.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest first; of one file the order stays."""
    for item in items:
        if item.path.is_relative_to(_FOLDER):
            item.add_marker(pytest.mark.integration)
    items.sort(key=lambda item: _LONGEST.index(item.path.name) if item.path.name in _LONGEST else len(_LONGEST))


@pytest.fixture(scope="session")
def shared_emulators() -> Iterator[Emulators]:
    with Emulators(pace=0.002, tokens=12) as emulators:
        yield emulators


@pytest.fixture(scope="session")
def shared_gateway(tmp_path_factory: pytest.TempPathFactory, shared_emulators: Emulators) -> Iterator[Serving]:
    serving = start(tmp_path_factory.mktemp("gateway"), shared_emulators)
    serving.key()
    yield serving
    assert leaks(serving.secrets(), [("the metrics", serving.metrics())]) == []
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
        serving.end()
