"""What the egress policy makes of a CONNECT and of plain http://, and when it ends what it let through."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from mitmproxy import http

from addons import egress
from addons.arrive import Arrive
from addons.egress import Egress, _learn
from addons.exchange import Exchanges
from addons.gate import Gate
from addons.inject import Inject
from addons.route import Route
from addons.wire.tunnel import Tunnel, tunnel_of
from llmauth.addresses import HostPort
from llmauth.config.settings import read_settings
from llmauth.context import Authenticated, Carried, Identity, RequestContext, advance
from llmauth.gateway import Gateway
from llmauth.storage.keys import KeyStore
from tests.addons import flows
from tests.addons.conftest import CONFIG, House

GIT = HostPort("git.example", 443)
POLICY = {"allow": ["git.example", "plain.example:80"], "max_tunnels": 2, "idle_timeout": "10s", "drain_timeout": "5s"}


@pytest.fixture
async def open_house(tmp_path: Path) -> AsyncIterator[House]:
    """A gateway that lets a few hosts through."""
    config, home = tmp_path / "gateway.yaml", tmp_path / "home"
    config.write_text(json.dumps({**CONFIG, "egress": {**POLICY, "default": "learn"}}))
    environ = {"LLMAUTH_HOME": str(home), "OPENAI_API_KEY": "sk-ours", "ANTHROPIC_API_KEY": "sk-ant-ours"}
    settings = read_settings([config], environ)
    gateway = Gateway(settings, environ)
    keys = KeyStore(settings.storage.url)
    key = keys.create("alice")[1].reveal()
    gateway.start()
    yield House(gateway, Exchanges(), keys, key)
    keys.close()
    gateway.close()


@pytest.fixture
def policy(open_house: House) -> Egress:
    return Egress(open_house.gateway, open_house.exchanges)


def identity_of(house: House) -> Identity:
    (record,) = house.keys.list()
    return Identity(user="alice", method="api_key", key_id=record.id)


def asked(house: House, policy: Egress, flow: http.HTTPFlow, *, known: bool = True) -> http.HTTPFlow:
    """A flow that arrived, of a known caller or not, and met the policy."""
    arrive = Arrive(house.gateway, house.exchanges)
    connect = flow.request.data.method == b"CONNECT"
    (arrive.http_connect if connect else arrive.requestheaders)(flow)
    exchange = house.exchanges.of(flow)
    if known:
        exchange.context = advance(exchange.context, Authenticated, identity=identity_of(house))
    (policy.http_connect if connect else policy.requestheaders)(flow)
    return flow


def connected(house: House, policy: Egress, host: str = "git.example") -> Tunnel:
    flow = asked(house, policy, flows.connect(house.exchanges, host))
    tunnel = tunnel_of(flow)
    assert tunnel is not None
    policy.http_connected(flow)
    return tunnel


def status(flow: http.HTTPFlow) -> int | None:
    return flow.response.status_code if flow.response else None


async def test_a_known_caller_gets_a_tunnel_that_the_gate_approves(open_house: House, policy: Egress) -> None:
    flow = asked(open_house, policy, flows.connect(open_house.exchanges, "GIT.example."))
    Route(open_house.exchanges).http_connect(flow)
    Gate(open_house.exchanges).http_connect(flow)
    assert status(flow) is None
    assert (flow.request.data.host, flow.request.data.port) == GIT
    assert open_house.exchanges.peer(flow.client_conn).approved == {GIT}
    assert open_house.exchanges.peer(flow.client_conn).tunnel is None


async def test_a_stranger_gets_none(open_house: House, policy: Egress) -> None:
    """A2: even if authentication itself had let a stranger pass."""
    flow = asked(open_house, policy, flows.connect(open_house.exchanges, "git.example"), known=False)
    assert status(flow) == 407
    assert tunnel_of(flow) is None


async def test_a_host_that_we_decrypt_gets_none(open_house: House, policy: Egress) -> None:
    flow = asked(open_house, policy, flows.connect(open_house.exchanges, "api.openai.com"))
    assert status(flow) is None
    assert tunnel_of(flow) is None


@pytest.mark.parametrize("change", ["host", "port", "approved", "context"])
async def test_the_gate_refuses_a_tunnel_that_is_not_the_one_that_was_judged(
    open_house: House, policy: Egress, change: str
) -> None:
    flow = asked(open_house, policy, flows.connect(open_house.exchanges, "git.example"))
    exchange = open_house.exchanges.of(flow)
    match change:
        case "host":
            flow.request.data.host = "evil.example"
        case "port":
            flow.request.data.port = 80
        case "approved":
            exchange.approved = None
        case _:
            exchange.context = RequestContext(request_id="id-1", received_at=0.0, started=0.0)
    Gate(open_house.exchanges).http_connect(flow)
    assert status(flow) == 500
    assert open_house.exchanges.peer(flow.client_conn).approved == set()


async def test_places_are_counted_from_the_asking_on(open_house: House, policy: Egress) -> None:
    dialling = [asked(open_house, policy, flows.connect(open_house.exchanges, "git.example")) for _ in range(2)]
    assert [status(flow) for flow in dialling] == [None, None]
    assert status(asked(open_house, policy, flows.connect(open_house.exchanges, "git.example"))) == 503
    policy.http_connect_error(dialling[0])
    assert status(asked(open_house, policy, flows.connect(open_house.exchanges, "git.example"))) is None


async def test_what_is_asked_for_is_learned(open_house: House, policy: Egress) -> None:
    learned = open_house.gateway.plan.learned
    assert learned is not None
    _learn(learned, connected(open_house, policy, "new.example"))
    assert "new.example:443" in learned.read()


async def test_a_tunnel_is_over_for_a_reason(open_house: House, policy: Egress) -> None:
    tunnel = connected(open_house, policy)
    assert policy._why_over(tunnel, tunnel.moved + 1) == ""
    assert policy._why_over(tunnel, tunnel.moved + 11) == "idle"
    open_house.exchanges.draining = True
    policy.look(tunnel.moved)
    assert policy._why_over(tunnel, tunnel.moved + 4) == ""
    assert policy._why_over(tunnel, tunnel.moved + 6) == "drain"


async def test_a_key_that_is_gone_ends_its_tunnels(
    open_house: House, policy: Egress, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A5."""
    cut: list[Tunnel] = []
    monkeypatch.setattr(egress, "cut", cut.append)
    tunnel = connected(open_house, policy)
    stranger = connected(open_house, policy)
    stranger.identity = Identity(user="bob", method="api_key", key_id="nobody")
    policy.look(tunnel.moved)
    assert cut == [stranger]
    assert stranger.ended_by == "key"


async def test_a_tunnel_is_told_once(open_house: House, policy: Egress, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    tunnel = connected(open_house, policy)
    for _ in range(2):
        policy.client_disconnected(tunnel.flow.client_conn)
    (line,) = [record for record in caplog.records if record.message == "tunnel"]
    assert vars(line)["target"] == "git.example:443"
    assert open_house.exchanges.tunnels == {}


async def test_plain_http_is_claimed_and_leaves_without_a_credential(open_house: House, policy: Egress) -> None:
    by = (b"Authorization", b"Bearer x"), (b"X-Keep", b"1")
    flow = asked(open_house, policy, flows.absolute(open_house.exchanges, "plain.example", *by))
    exchange = open_house.exchanges.of(flow)
    assert isinstance(exchange.context, Carried)
    for addon in (Route(open_house.exchanges), Inject(open_house.gateway, open_house.exchanges)):
        assert addon.request(flow) is None
    policy.request(flow)
    Gate(open_house.exchanges).request(flow)
    assert status(flow) is None
    assert flow.request.data.headers.fields == ((b"Host", b"plain.example"), (b"X-Keep", b"1"))


async def test_plain_http_that_the_policy_did_not_finish_ends_at_the_gate(open_house: House, policy: Egress) -> None:
    """F1: what was claimed and then forgotten is not sent."""
    flow = asked(open_house, policy, flows.absolute(open_house.exchanges, "plain.example"))
    Gate(open_house.exchanges).request(flow)
    assert status(flow) == 500


async def test_plain_http_to_another_place_is_left_to_the_routers(open_house: House, policy: Egress) -> None:
    flow = asked(open_house, policy, flows.absolute(open_house.exchanges, "other.example"))
    assert status(flow) is None
    assert not isinstance(open_house.exchanges.of(flow).context, Carried)
