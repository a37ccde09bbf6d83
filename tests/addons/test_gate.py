"""The last word: without the mark of the whole chain nothing leaves, and nothing is dialled."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest
from mitmproxy import http
from mitmproxy.certs import Cert
from mitmproxy.connection import Server
from mitmproxy.flow import Error
from mitmproxy.proxy.server_hooks import ServerConnectionHookData

from addons.exchange import Exchanges
from addons.gate import Gate
from llmauth.addresses import HostPort
from llmauth.context import Authenticated, Credentialed, Identity, Routed, Target, TransparentRoute, advance
from llmauth.http import Door
from tests.addons import flows
from tests.addons.exchanges import exchange, request
from tests.addons.flows import HOST, TARGET
from tests.addons.layers import client

STAGES: dict[type[Any], dict[str, Any]] = {
    Authenticated: {"identity": Identity(user="alice", method="api_key")},
    Routed: {
        "route": TransparentRoute(instance="openai", path="/", native=True),
        "target": Target(instance="openai", provider="openai"),
    },
    Credentialed: {"strategy": "environment", "expires_at": None},
}


def signed(exchanges: Exchanges, last: type[Any] | None = Credentialed) -> http.HTTPFlow:
    """A flow that came as far as this stage and leads to api.openai.com."""
    flow = flows.made(b"GET", b"/", (), host=HOST, port=443, scheme=b"https")
    begun = exchanges.begin(flow, exchange())
    for stage, more in STAGES.items() if last else ():
        begun.context = advance(begun.context, stage, **more)
        if stage is last:
            break
    begun.approved = TARGET
    return flow


@pytest.fixture
def gate(exchanges: Exchanges) -> Gate:
    return Gate(exchanges)


def status(flow: http.HTTPFlow) -> int | None:
    return flow.response.status_code if flow.response else None


# ---- requests ------------------------------------------------------------------------------------------------------


def test_a_signed_request_to_its_own_host_leaves(gate: Gate, exchanges: Exchanges) -> None:
    flow = signed(exchanges)
    gate.request(flow)
    assert status(flow) is None
    assert exchanges.peer(flow.client_conn).approved == {TARGET}


@pytest.mark.parametrize("last", [None, Authenticated, Routed])
def test_a_request_that_is_not_signed_does_not(gate: Gate, exchanges: Exchanges, last: type[Any] | None) -> None:
    flow = signed(exchanges, last)
    gate.request(flow)
    assert status(flow) == 500
    assert exchanges.peer(flow.client_conn).approved == set()


@pytest.mark.parametrize(
    "change",
    [
        lambda data: setattr(data, "host", "evil.example"),
        lambda data: setattr(data, "host", "API.openai.com"),
        lambda data: setattr(data, "host", "api.openai.com."),
        lambda data: setattr(data, "port", 444),
        lambda data: setattr(data, "port", 80),
        lambda data: setattr(data, "scheme", b"http"),
        lambda data: setattr(data, "scheme", b""),
    ],
)
def test_a_request_that_leads_elsewhere_does_not(
    gate: Gate, exchanges: Exchanges, change: Callable[[Any], None]
) -> None:
    flow = signed(exchanges)
    change(flow.request.data)
    gate.request(flow)
    assert status(flow) == 500
    assert exchanges.peer(flow.client_conn).approved == set()


def test_a_request_that_was_approved_for_nowhere_does_not(gate: Gate, exchanges: Exchanges) -> None:
    flow = signed(exchanges)
    exchanges.of(flow).approved = None
    gate.request(flow)
    assert status(flow) == 500


def test_a_flow_that_nobody_knows_does_not(gate: Gate, exchanges: Exchanges) -> None:
    flow = flows.made(b"GET", b"/", (), host=HOST, port=443, scheme=b"https")
    gate.request(flow)
    assert status(flow) == 500
    connect = flows.connect(exchanges)
    gate.http_connect(connect)
    assert status(connect) == 500


def test_what_was_refused_or_has_failed_stays_so(gate: Gate, exchanges: Exchanges) -> None:
    for hook in (gate.request, gate.http_connect):
        refused = flows.answered(signed(exchanges, None), 401)
        hook(refused)
        assert status(refused) == 401
        failed = signed(exchanges, None)
        failed.error = Error("gone")
        hook(failed)
        assert status(failed) is None


# ---- tunnels -------------------------------------------------------------------------------------------------------


def test_a_tunnel_opens_to_where_it_was_let_in(gate: Gate, exchanges: Exchanges) -> None:
    for tunnel, let_in, expected in (
        (TARGET, TARGET, None),
        (TARGET, None, 500),
        (TARGET, HostPort("api.anthropic.com", 443), 500),
        (TARGET, HostPort(HOST, 444), 500),
        (None, None, 500),
    ):
        flow = flows.connect(exchanges)
        exchanges.begin(flow, exchange(door=Door.CONNECT, request=request(door=Door.CONNECT, tunnel=tunnel)))
        exchanges.peer(flow.client_conn).tunnel = let_in
        gate.http_connect(flow)
        assert status(flow) == expected, (tunnel, let_in)


# ---- dials ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "allowed"),
    [
        ((HOST, 443), True),
        ((HOST, 444), False),
        (("api.openai.com.", 443), False),
        (("API.openai.com", 443), False),
        (("evil.example", 443), False),
        (("127.0.0.1", 443), False),
        (None, False),
    ],
)
def test_only_what_was_approved_for_this_client_is_dialled(
    gate: Gate, exchanges: Exchanges, caplog: pytest.LogCaptureFixture, address: tuple[str, int] | None, allowed: bool
) -> None:
    by = client()
    exchanges.peer(by).approved.add(TARGET)
    server = Server(address=address)
    with caplog.at_level(logging.ERROR):
        gate.server_connect(ServerConnectionHookData(server, by))
    assert (server.error is None) == allowed
    assert bool(caplog.records) != allowed


def test_what_one_client_may_dial_another_may_not(gate: Gate, exchanges: Exchanges) -> None:
    by, other = client(), client()
    exchanges.peer(by).approved.add(TARGET)
    server = Server(address=(HOST, 443))
    gate.server_connect(ServerConnectionHookData(server, other))
    assert server.error is not None


def test_tls_is_for_the_host_of_the_credential_whatever_the_client_named(gate: Gate, exchanges: Exchanges) -> None:
    by = client()
    exchanges.peer(by).approved.add(TARGET)
    server = Server(address=(HOST, 443), sni="evil.example", alpn_offers=[b"h2"])
    gate.server_connect(ServerConnectionHookData(server, by))
    assert server.sni == HOST
    assert server.alpn_offers == (b"http/1.1",)


# ---- connections ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Cert:
    from llmauth.demo.certificates import Authority

    return Cert.from_pem(Authority.create().pem)


def connected(flow: http.HTTPFlow, certificate: Cert) -> Server:
    """The verified connection that the flow is about to use."""
    server = Server(address=(HOST, 443), sni=HOST, tls=True, timestamp_tls_setup=1.0, certificate_list=[certificate])
    flow.server_conn = server
    return server


def test_a_verified_connection_to_the_approved_host_is_used(
    gate: Gate, exchanges: Exchanges, certificate: Cert
) -> None:
    flow = signed(exchanges)
    connected(flow, certificate)
    gate.server_ready(flow)
    assert flow.error is None


@pytest.mark.parametrize(
    ("attribute", "value"),
    [
        ("address", None),
        ("address", ("evil.example", 443)),
        ("address", (HOST, 444)),
        ("sni", "evil.example"),
        ("sni", None),
        ("timestamp_tls_setup", None),
        ("certificate_list", []),
        ("error", "a hook failed"),
    ],
)
def test_any_other_connection_is_not(
    gate: Gate, exchanges: Exchanges, certificate: Cert, attribute: str, value: object
) -> None:
    flow = signed(exchanges)
    setattr(connected(flow, certificate), attribute, value)
    gate.server_ready(flow)
    assert flow.error is not None
    assert flow.error.msg == Error.KILLED_MESSAGE


def test_a_connection_for_a_flow_that_nobody_approved_is_not(
    gate: Gate, exchanges: Exchanges, certificate: Cert
) -> None:
    for flow in (signed(exchanges), flows.gateway(exchanges)):
        if exchanges.of(flow) is not None:
            exchanges.of(flow).approved = None
        connected(flow, certificate)
        gate.server_ready(flow)
        assert flow.error is not None
