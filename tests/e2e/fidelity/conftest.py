"""The roads on which the same call is sent."""

from __future__ import annotations

import pytest

from llmauth.demo.emulators import Emulators
from tests.e2e.fidelity.calls import Roads
from tests.fixtures.serving import Serving


@pytest.fixture
def roads(gateway: Serving, emulators: Emulators) -> Roads:
    return Roads(gateway=gateway, emulators=emulators)
