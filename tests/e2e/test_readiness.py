"""Readiness says whether this process can serve, and nothing about providers: else one that is down takes all pods."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from llmauth.demo.behaviour import Behaviour, Cut
from llmauth.demo.emulators import Emulators
from tests.fixtures.calls import OPENAI, call, eventually, get
from tests.fixtures.serving import Serving, start

# Whatever a provider that is in trouble does.
TROUBLES = {
    "errors": Behaviour(status=500),
    "overload": Behaviour(status=529),
    "refused keys": Behaviour(status=401),
    "silence": Behaviour(hang=True),
    "resets": Behaviour(cut=Cut.RST, cut_after=0),
}


@pytest.fixture
def lonely(tmp_path: Path, emulators: Emulators) -> Iterator[Serving]:
    """One instance alone, whose key stands in a file that is read again every second."""
    (tmp_path / "key").write_text(emulators.credentials.openai_key)
    strategies = [{"type": "file", "path": str(tmp_path / "key"), "refresh_interval": "1s"}]
    instances = {"openai": {"type": "openai", "authentication": {"strategies": strategies}}}
    upstream = {"first_byte_timeout": "1s"}
    serving = start(tmp_path, emulators, level="info", instances=instances, upstream=upstream, environ={})
    serving.key()
    eventually(lambda: get(serving, "/ready").status == 200)
    yield serving
    serving.stop()


class Probes:
    """Asks both endpoints again and again, as a kubelet in a hurry."""

    def __init__(self, gateway: Serving) -> None:
        self.gateway, self.over = gateway, threading.Event()
        self.seen: set[tuple[str, int]] = set()
        self.count = 0
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        while not self.over.wait(0.01):
            for path in ("/health", "/ready"):
                self.seen.add((path, get(self.gateway, path).status))
                self.count += 1

    def stop(self) -> set[tuple[str, int]]:
        self.over.set()
        self.thread.join(10)
        return self.seen


def test_a_provider_in_trouble_changes_nothing(lonely: Serving, emulators: Emulators) -> None:
    probes = Probes(lonely)
    for behaviour in TROUBLES.values():
        emulators.behave(OPENAI, behaviour, times=4)
        assert {call(lonely).status for _ in range(2)} != {200}
        emulators.clear()
    assert probes.stop() == {("/health", 200), ("/ready", 200)}
    assert probes.count > 20


def test_a_renewal_that_fails_is_told_and_is_no_reason_to_leave(
    lonely: Serving, emulators: Emulators, tmp_path: Path
) -> None:
    """The credential that is held is good, until its provider says otherwise."""
    (tmp_path / "key").unlink()

    def degraded() -> bool:
        answer = get(lonely, "/ready")
        assert answer.status == 200
        told: bool = json.loads(answer.body)["instances"]["openai"]["degraded"]
        return told

    eventually(degraded, timeout=10)
    assert call(lonely).status == 200
    # Refused by its provider, and nowhere to be had again: now nobody could be served.
    emulators.behave(OPENAI, Behaviour(status=401), times=4)
    assert call(lonely).status == 502
    eventually(lambda: get(lonely, "/ready").status == 503, timeout=10)
    assert get(lonely, "/health").status == 200
