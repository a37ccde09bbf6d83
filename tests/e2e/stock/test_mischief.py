"""Other scripts beside the chain: whatever they raise, rewrite or take back, no credential leaves for anywhere else."""

from __future__ import annotations

import pytest

from llmauth.demo.emulators import Emulators
from tests.e2e.stock.mischief import ASKED
from tests.e2e.test_security_destinations import ANTHROPIC, OPENAI, OTHERS
from tests.fixtures.calls import CHAT, JSON, call
from tests.fixtures.raw import Answer, Wire, tunnel
from tests.fixtures.serving import Serving

CHAIN = ("arrive", "screen", "authenticate", "route", "inject", "gate")
# The hooks in which an addon of the chain decides about a request.
PLACES = [
    *("arrive.requestheaders", "screen.requestheaders", "authenticate.requestheaders", "route.requestheaders"),
    *("route.request", "inject.request", "gate.request", "gate.server_ready"),
]


def ask(gateway: Serving, what: str, *, key: str | None = None, wire: Wire | None = None) -> Answer | None:
    """A call through the gateway door that asks for mischief, None where the connection ended."""
    fields = [("Host", "gateway"), JSON, (ASKED, what), *([("X-API-Key", key)] if key else [])]
    own = wire or Wire(gateway.port)
    try:
        return own.request("POST", "/transparent/openai/v1/chat/completions", fields, CHAT)
    except (EOFError, ConnectionError):
        return None
    finally:
        if wire is None:
            own.close()


def refused(answer: Answer | None) -> bool:
    return answer is None or answer.status >= 400


@pytest.mark.parametrize("place", PLACES)
def test_a_hook_of_the_chain_that_raises_stops_the_request(gateway: Serving, emulators: Emulators, place: str) -> None:
    """F1, through the tool's own dispatcher."""
    assert refused(ask(gateway, place, key=gateway.key()))
    assert emulators.requests() == ()
    assert call(gateway).status == 200


def test_another_script_that_raises_stops_the_request(gateway: Serving, emulators: Emulators) -> None:
    answer = ask(gateway, "raise", key=gateway.key())
    assert answer is not None
    assert answer.status == 500
    assert emulators.requests() == ()
    assert "ZeroDivisionError: early" not in gateway.log()


def test_what_another_script_makes_of_a_request_is_judged(gateway: Serving, emulators: Emulators) -> None:
    """It stands before the chain, which builds the request anew from what the client sent."""
    ask(gateway, "early host", key=gateway.key())
    assert {seen.host for seen in emulators.requests()} <= {OPENAI}


@pytest.mark.parametrize(
    "what", [*(f"host {host}" for host in (ANTHROPIC, *OTHERS, "127.0.0.1")), "port 80", "port 8443", "scheme http"]
)
def test_what_is_rewritten_behind_the_gate_is_not_dialled(gateway: Serving, emulators: Emulators, what: str) -> None:
    """S1: `server_connect` and `server_ready` look at the connection, not at the request."""
    assert refused(ask(gateway, what, key=gateway.key()))
    assert emulators.requests() == ()


def test_a_connection_of_another_provider_gets_no_credential(gateway: Serving, emulators: Emulators) -> None:
    """Both hosts are approved for this connection, each for its own requests."""
    with Wire(gateway.port) as wire:
        fields = [("Host", "gateway"), JSON, ("X-API-Key", gateway.key())]
        first = wire.request("POST", "/transparent/anthropic/v1/messages", fields, CHAT)
        assert first.status in (200, 400)
        emulators.clear()
        assert refused(ask(gateway, f"host {ANTHROPIC}", key=gateway.key(), wire=wire))
    assert emulators.requests() == ()


@pytest.mark.parametrize("what", ["unanswer", "unanswer at the head"])
def test_a_refusal_that_is_taken_back_lets_nothing_through(gateway: Serving, emulators: Emulators, what: str) -> None:
    fields = [("Host", "gateway"), (ASKED, what)]
    with Wire(gateway.port) as wire:
        good = wire.request("GET", "/transparent/openai/v1/models", [("Host", "x"), ("X-API-Key", gateway.key())])
        assert good.status == 200
        emulators.clear()
        try:
            answer = wire.request("GET", "/transparent/openai/v1/models", fields)
        except EOFError:
            answer = None
    assert answer is None or answer.status in (500, 502), "not the refusal that was taken back"
    assert emulators.requests() == ()


def test_a_refusal_that_is_taken_back_in_a_tunnel_lets_nothing_through(gateway: Serving, emulators: Emulators) -> None:
    with tunnel(gateway.port, OPENAI, None, gateway.ca_file) as wire:
        good = wire.request("GET", "/v1/models", [("Host", OPENAI), ("X-API-Key", gateway.key())])
        assert good.status == 200
        emulators.clear()
        try:
            answer = wire.request("GET", "/v1/models", [("Host", OPENAI), (ASKED, "unanswer")])
        except EOFError:
            answer = None
    assert answer is None or answer.status in (500, 502)
    assert emulators.requests() == ()
