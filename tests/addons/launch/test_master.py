from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from addons.launch.listeners import ListenFailed
from addons.launch.master import FIXED
from llmauth.demo.behaviour import Behaviour, Framing
from llmauth.demo.emulators import Emulators
from tests.fixtures.master import Running, run
from tests.fixtures.raw import Wire


@pytest.fixture(scope="module")
def emulators() -> Iterator[Emulators]:
    with Emulators(tokens=2, pace=0) as running:
        yield running


@pytest.fixture
def running(tmp_path: Path, emulators: Emulators) -> Iterator[Running]:
    emulators.clear()
    one = run(tmp_path, emulators)
    yield one
    if one._thread.is_alive():
        one.stop()


def models(running: Running) -> bytes:
    """A call that the provider answers."""
    head = f"GET /transparent/openai/v1/models HTTP/1.1\r\nHost: x\r\nX-API-Key: {running.key}\r\n\r\n"
    return head.encode()


def wait_for(condition: Callable[[], bool]) -> None:
    ends = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.01)


def test_nothing_is_left_to_mitmproxy_s_defaults(running: Running) -> None:
    options = running.call(lambda: {name: getattr(running.master.options, name) for name in FIXED})
    assert options == FIXED
    # What would make mitmproxy contact anybody, show pages of its own, or send a body on unjudged.
    assert running.master.options.stream_large_bodies is None
    assert {"onboarding", "block", "proxyauth", "script", "save"}.isdisjoint(running.master.addons.lookup)


def test_the_addons_stand_in_their_order(running: Running) -> None:
    names = [addon.name for addon in running.master.addons.chain if hasattr(addon, "name")]
    chain = ["arrive", "endpoints", "screen", "authenticate", "scrape", "route", "inject", "faults", "deadlines"]
    assert [name for name in names if name in (*chain, "report", "gate")] == [*chain, "report", "gate"]
    assert names[:2] == ["nextlayer", "tlsconfig"]
    assert names[-1] == "watchdog"


def test_the_first_stop_drains_and_the_second_ends(running: Running, emulators: Emulators) -> None:
    emulators.behave("api.openai.com", Behaviour(hang=True))
    with Wire(running.port) as wire:
        wire.send(
            b"GET /transparent/openai/v1/models HTTP/1.1\r\nHost: x\r\nX-API-Key: %s\r\n\r\n" % running.key.encode()
        )
        emulators.wait(lambda seen: len(seen) == 1)
        running.call(running.master.stop)
        wait_for(lambda: not running.master.proxyserver.listen_addrs())
        assert running.master.exchanges.draining
        assert not running.call(running.master.should_exit.is_set)
        running.call(running.master.stop)
        running._thread.join(5)
        assert not running._thread.is_alive()


def test_an_answer_that_a_client_has_not_taken_yet_is_waited_for(running: Running, emulators: Emulators) -> None:
    body = b"." * (12 * 1024 * 1024)
    emulators.behave("api.openai.com", Behaviour(body=body, framing=Framing.LENGTH))
    with Wire(running.port) as wire:
        assert running.call(running.master._drain.unsent) is False
        wire.send(
            b"GET /transparent/openai/v1/models HTTP/1.1\r\nHost: x\r\nX-API-Key: %s\r\n\r\n" % running.key.encode()
        )
        wait_for(lambda: running.call(running.master._drain.unsent))
        assert wire.answer().body == body
        wait_for(lambda: not running.call(running.master._drain.unsent))


def test_a_port_that_is_taken(tmp_path: Path, emulators: Emulators) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(ListenFailed, match=f"Port {port} on 127.0.0.1 is taken by another program"):
            run(tmp_path, emulators, server={"port": port})
