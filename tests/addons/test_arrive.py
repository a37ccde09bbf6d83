"""Every flow gets an id, an exchange, and the door that its connection tells."""

from __future__ import annotations

import json

import pytest
from mitmproxy.flow import Error

from addons.arrive import Arrive
from addons.wire.heads import MalformedRequest, read_request
from addons.wire.stream import ORIGIN_FORM
from llmauth.addresses import HostPort
from llmauth.http import Door
from tests.addons import flows
from tests.addons.conftest import House
from tests.addons.layers import client


@pytest.fixture
def arrive(house: House) -> Arrive:
    return Arrive(house.gateway, house.exchanges)


def test_the_door_is_told_by_the_connection(house: House, arrive: Arrive) -> None:
    for make, door in ((flows.gateway, Door.GATEWAY), (flows.inside, Door.TUNNEL), (flows.absolute, Door.ABSOLUTE)):
        flow = make(house.exchanges)
        arrive.requestheaders(flow)
        assert house.exchanges.of(flow).door is door
        assert flow.response is None


@pytest.mark.parametrize("target", ["api.openai.com", "API.OpenAI.com", "api.openai.com.", "ａpi.openai.com"])
def test_a_connect_target_is_normalised_once(house: House, arrive: Arrive, target: str) -> None:
    flow = flows.connect(house.exchanges, target)
    arrive.http_connect(flow)
    assert house.exchanges.of(flow).request.tunnel == HostPort("api.openai.com", 443)
    assert house.exchanges.peer(flow.client_conn).tunnel is None, "to arrive is not to be let in"


@pytest.mark.parametrize("target", ["", ".", "a b", "user@x", "x%00", "a..b", "x\x7f", "*"])
def test_a_connect_target_that_is_no_host_is_refused(house: House, arrive: Arrive, target: str) -> None:
    flow = flows.connect(house.exchanges, target)
    arrive.http_connect(flow)
    assert flow.response.status_code == 400
    assert flow.response.headers["connection"] == "close"


def test_a_request_that_mitmproxy_refuses_is_left_alone(house: House, arrive: Arrive) -> None:
    flow = flows.gateway(house.exchanges)
    flow.error = Error("malformed")
    arrive.requestheaders(flow)
    assert house.exchanges.of(flow) is None


def test_a_head_that_breaks_http2_is_refused_in_words_and_nothing_is_closed(house: House, arrive: Arrive) -> None:
    flow = flows.inside(house.exchanges)
    malformed = read_request([(b":method", b"GET")], ended=True)
    assert isinstance(malformed, MalformedRequest)
    flow.request = malformed
    arrive.requestheaders(flow)
    assert flow.response.status_code == 400
    assert json.loads(flow.response.content or b"")["error"]["message"].startswith(malformed.fault)
    assert "connection" not in flow.response.headers


def test_origin_form_on_a_proxy_connection_is_refused(house: House, arrive: Arrive) -> None:
    flow = flows.absolute(house.exchanges, ORIGIN_FORM)
    arrive.requestheaders(flow)
    assert flow.response.status_code == 400
    assert flow.response.headers["connection"] == "close"


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (b"mine", True),
        (b"A.b_c-9", True),
        (b"x" * 128, True),
        (b"x" * 129, False),
        (b"", False),
        (b"a b", False),
        (b"a\xff", False),
        (b"a/b", False),
        (b"a\nb", False),
        (b'"><script>', False),
    ],
)
def test_a_plain_id_of_the_client_is_kept(house: House, arrive: Arrive, given: bytes, kept: bool) -> None:
    flow = flows.gateway(house.exchanges, b"/", (b"X-Request-Id", given))
    arrive.requestheaders(flow)
    assert (house.exchanges.of(flow).context.request_id == given.decode("latin-1")) == kept


@pytest.mark.parametrize(("path", "status"), [(b"/health", None), (b"/ready", None), (b"/metrics", 503), (b"/", 503)])
def test_while_draining_nothing_new_is_begun(house: House, arrive: Arrive, path: bytes, status: int | None) -> None:
    house.exchanges.draining = True
    flow = flows.gateway(house.exchanges, path)
    arrive.requestheaders(flow)
    assert (flow.response.status_code if flow.response else None) == status
    if flow.response:
        assert flow.response.headers["retry-after"] == "1"
        assert flow.response.headers["connection"] == "close"


def test_while_draining_no_tunnel_is_begun(house: House, arrive: Arrive) -> None:
    house.exchanges.draining = True
    flow = flows.connect(house.exchanges)
    arrive.http_connect(flow)
    assert flow.response.status_code == 503


def test_a_refusal_at_arrival_has_the_shape_of_what_was_called(house: House, arrive: Arrive) -> None:
    house.exchanges.draining = True
    flow = flows.gateway(house.exchanges, b"/transparent/anthropic/v1/messages")
    arrive.requestheaders(flow)
    assert json.loads(flow.response.raw_content or b"")["type"] == "error"


def test_two_requests_of_one_connection_are_two_exchanges(house: House, arrive: Arrive) -> None:
    by = client()
    first, second = flows.gateway(house.exchanges, by=by), flows.gateway(house.exchanges, by=by)
    arrive.requestheaders(first)
    arrive.requestheaders(second)
    one, other = house.exchanges.of(first), house.exchanges.of(second)
    assert one is not other
    assert one.context.request_id != other.context.request_id


@pytest.mark.parametrize(
    ("authority", "status"), [("api.openai.com", 400), ("example.org:8080", 400), ("llm.internal", None)]
)
def test_absolute_form_on_a_connection_of_gateway_paths(house: House, authority: str, status: int | None) -> None:
    """A client that mixes the two would have the path served, whoever's it was."""
    flow = flows.gateway(house.exchanges, b"/v1/models")
    flow.request.data.authority, flow.request.data.host = authority.encode(), authority.partition(":")[0]
    Arrive(house.gateway, house.exchanges).requestheaders(flow)
    assert (flow.response.status_code if flow.response else None) == status
