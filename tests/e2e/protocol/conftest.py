"""A gateway in front of all seven providers, with models by name and both native hosts rerouted."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from llmauth.demo.emulators import Emulators
from tests.e2e.clients.sdks import Sdks
from tests.e2e.protocol.providers import INSTANCES, MODELS, variables
from tests.fixtures.serving import Serving, start

REROUTED: Mapping[str, Any] = {
    "api.openai.com": {"protocol": "openai"},
    "api.anthropic.com": {"protocol": "anthropic"},
}


@pytest.fixture(scope="session")
def sdks() -> Iterator[Sdks]:
    sdks = Sdks()
    yield sdks
    sdks.close()


@pytest.fixture(scope="session")
def shared_every(tmp_path_factory: pytest.TempPathFactory, shared_emulators: Emulators) -> Iterator[Serving]:
    serving = start(
        tmp_path_factory.mktemp("every"),
        shared_emulators,
        environ=variables(shared_emulators),
        instances=INSTANCES,
        models=MODELS,
        hosts=REROUTED,
        level="info",
    )
    serving.key()
    _wait_for_credentials(serving)
    yield serving
    serving.stop()


def _wait_for_credentials(serving: Serving) -> None:
    """Until every instance has its own: IBM's is asked for at start, and would arrive in the midst of a test."""
    ends, instances = time.monotonic() + 20, {}
    while time.monotonic() < ends:
        with urllib.request.urlopen(f"{serving.url}/ready", timeout=5) as told:
            instances = json.load(told)["instances"]
        if all(instance["status"] == "ready" for instance in instances.values()):
            return
        time.sleep(0.05)
    raise RuntimeError(f"credentials are missing: {instances}")


@pytest.fixture
def every(shared_every: Serving, emulators: Emulators) -> Serving:
    """All seven providers behind one gateway: leave it as you found it."""
    return shared_every
