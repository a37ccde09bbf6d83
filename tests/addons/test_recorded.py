"""What the audit record holds of a request: names and numbers, and nothing that a caller said."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from addons.exchange import Exchange
from addons.recorded import decided, ended
from llmauth.audit.records import facts
from llmauth.authenticators.base import wrong
from llmauth.chat.messages import Usage
from llmauth.context import Authenticated, Identity, ProtocolRoute, Routed, Target, advance
from llmauth.errors import UpstreamError
from llmauth.http import Door, Headers, Url
from llmauth.telemetry.access import Outcome
from tests.addons.exchanges import TARGET, exchange, request

ALICE = Identity(user="alice", method="api_key", key_id="0123456789")
ROUTE = ProtocolRoute(protocol="openai", operation="chat", path="/v1/chat/completions")


def routed() -> Exchange:
    made = exchange()
    context = advance(made.context, Authenticated, identity=ALICE)
    target = Target(instance="openai", provider="openai", model="gpt-4o")
    made.context = advance(context, Routed, route=ROUTE, target=target)
    made.handler = None
    return made


def test_what_was_decided() -> None:
    told = facts(decided(routed()))
    assert (told["user"], told["protocol"], told["operation"], told["model"]) == ("alice", "openai", "chat", "gpt-4o")
    assert "host" not in told, "it was sent to ourselves"


@pytest.mark.parametrize(
    ("door", "more", "host"),
    [
        (Door.CONNECT, {"tunnel": TARGET}, "api.openai.com:443"),
        (Door.TUNNEL, {"tunnel": TARGET, "url": Url("https", "api.openai.com", 443, "/v1?key=secret")}, TARGET.host),
        (Door.ABSOLUTE, {"url": Url("http", "llm.internal", 80, "/v1")}, "llm.internal"),
    ],
)
def test_the_host_is_the_clients_and_no_query_is_kept(door: Door, more: dict[str, Any], host: str) -> None:
    made = exchange(door=door)
    made.request = request(door=door, **more)
    record = decided(made)
    assert record.host == host
    assert "secret" not in str(record)


def test_r1_no_header_no_body_and_no_words_of_a_provider() -> None:
    made = routed()
    made.request = replace(made.request, headers=Headers([(b"x", b"canary")]), body=b"canary", method="canary" * 20)
    made.error = UpstreamError("canary prompt", cause="invalid_request")
    record = decided(made)
    assert record.reason == "the provider refused: invalid_request"
    assert len(record.http_method or "") == 20
    assert "canary" not in str(replace(record, http_method=None))


def test_a_tunnel_that_was_refused_has_the_status_that_its_client_got() -> None:
    made = exchange(door=Door.CONNECT, error=wrong("unknown_key"))
    assert decided(made, 407).status == 407
    assert decided(made).status == 401, "nobody was answered"


def outcome(**more: Any) -> Outcome:
    made = routed()
    known: dict[str, Any] = {
        "context": made.context,
        "request": made.request,
        "status": 200,
        "finished": made.context.started + 1.5,
        "overhead": None,
        "dial": None,
        "first_byte_at": None,
        "error": None,
        "decisions": (),
        "cut": False,
        "provider_request_id": "req-theirs",
    }
    return Outcome(**(known | more))


def test_what_became_of_it() -> None:
    told = facts(ended(outcome(usage=Usage(input=3, output=4), cost=Decimal("0.00001"))))
    assert (told["input_tokens"], told["output_tokens"], told["cost"], told["seconds"]) == (3, 4, "0.00001", 1.5)
    assert told["provider_request_id"] == "req-theirs"
    assert "cut" not in told


def test_of_a_socket_what_it_carried_and_of_a_cut_that_it_was() -> None:
    told = facts(ended(outcome(carried=(10, 20), cut=True)))
    assert (told["received"], told["sent"], told["cut"]) == (10, 20, True)
