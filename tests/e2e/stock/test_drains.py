"""SIGTERM under the stock tools: what runs is finished, as under `llmauth serve`."""

from __future__ import annotations

import signal
from collections.abc import Callable
from functools import partial

import pytest

from llmauth.demo.emulators import Emulators
from tests.e2e.test_drain import (  # noqa: F401
    SLOW,
    test_what_runs_is_finished_and_what_comes_is_sent_away,
)
from tests.fixtures.calls import OPENAI, STREAM, begin, refuses_connections
from tests.fixtures.raw import Wire
from tests.fixtures.serving import Serving


@pytest.fixture
def serve(serve: Callable[..., Serving]) -> Callable[..., Serving]:
    """With a CA file for the clients of tunnels."""
    return partial(serve, trusted=True)


def test_mitmweb_drains_as_well(serve: Callable[..., Serving], emulators: Emulators) -> None:
    gateway = serve(tool="mitmweb")
    emulators.behave(OPENAI, SLOW)
    with Wire(gateway.port) as wire:
        begin(gateway, wire, STREAM)
        emulators.wait(lambda seen: len(seen) == 1 and all(one.status for one in seen))
        gateway.process.send_signal(signal.SIGTERM)
        answer = wire.answer()
    assert (answer.status, answer.complete) == (200, True)
    assert gateway.process.wait(5) == 0
    assert gateway.lines("Stopped")
    assert refuses_connections(gateway.port)
