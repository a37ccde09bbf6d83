"""What is remembered of a flow and of a client lives as long as they do, and stands in no dump."""

from __future__ import annotations

import json
import re

from addons.exchange import Exchanges, arrival, fresh_id
from llmauth.codecs.anthropic.errors import REFUSALS as ANTHROPIC
from llmauth.codecs.openai.errors import REFUSALS as OPENAI
from llmauth.context import Identity
from llmauth.http import Door
from tests.addons import flows
from tests.addons.exchanges import exchange, plan
from tests.addons.layers import client
from tests.fixtures.outcomes import routed


def test_an_exchange_is_found_by_its_flow_alone(exchanges: Exchanges) -> None:
    flow, other = flows.gateway(exchanges), flows.gateway(exchanges)
    assert exchanges.of(flow) is None
    begun = exchanges.begin(flow, exchange())
    assert exchanges.of(flow) is begun
    assert exchanges.of(other) is None


def test_a_flow_is_waited_for_until_it_ends_or_its_client_has_left(exchanges: Exchanges) -> None:
    flow, over, left = flows.gateway(exchanges), flows.gateway(exchanges), flows.gateway(exchanges)
    for each in (flow, over, left):
        each.live = True
        exchanges.begin(each, exchange())
    exchanges.prune()
    assert exchanges.open == {flow, over, left}
    over.live = False
    left.client_conn.timestamp_end = 1.0
    assert exchanges.prune() == [over]
    assert exchanges.open == {flow}
    exchanges.end(flow)
    exchanges.end(flow)
    assert len(exchanges.open) == 0
    assert exchanges.of(flow) is not None


def test_requests_that_run_are_counted_by_instance(exchanges: Exchanges) -> None:
    begun = [flows.gateway(exchanges) for _ in range(3)]
    for number, flow in enumerate(begun):
        one = exchanges.begin(flow, exchange())
        if number:
            one.context = routed()
    assert exchanges.running() == {"one": 2}
    exchanges.end(begun[-1])
    assert exchanges.running() == {"one": 1}


def test_a_peer_is_one_client_connection(exchanges: Exchanges) -> None:
    one, other = client(), client()
    exchanges.peer(one).identity = Identity(user="alice", method="api_key")
    assert exchanges.peer(one).identity is not None
    assert exchanges.peer(other).identity is None
    assert exchanges.peer(other).approved == set()
    assert exchanges.peer(other).approved is not exchanges.peer(one).approved


def test_nothing_of_it_is_in_a_dump(exchanges: Exchanges) -> None:
    flow = flows.gateway(exchanges)
    exchanges.begin(flow, exchange())
    exchanges.peer(flow.client_conn).identity = Identity(user="alice-of-the-dump", method="api_key")
    state = json.dumps(flow.get_state(), default=repr)
    assert "alice-of-the-dump" not in state
    assert "llmauth" not in state
    assert flow.metadata == {}


def test_a_copy_of_a_flow_is_not_approved(exchanges: Exchanges) -> None:
    """What a replay starts from has no exchange, and so passes nothing."""
    flow = flows.gateway(exchanges)
    exchanges.begin(flow, exchange())
    assert exchanges.of(flow.copy()) is None


def test_the_tls_listener_is_told_by_its_mode(exchanges: Exchanges) -> None:
    plain, secure = client("regular@8080"), client("regular@8443")
    assert not exchanges.listens_tls(secure)
    exchanges.tls_listener = secure.proxy_mode
    assert exchanges.listens_tls(secure)
    assert not exchanges.listens_tls(plain)


def test_a_refusal_has_the_shape_of_the_instance_where_it_is_known() -> None:
    made = exchange(door=Door.GATEWAY)
    made.plan = plan(shape=ANTHROPIC)
    assert made.shape.name == OPENAI.name
    made.handler = None
    assert made.shape.name == ANTHROPIC.name


def test_an_arrival_has_the_clients_id_or_one_of_its_own() -> None:
    assert arrival("mine").request_id == "mine"
    ids = {arrival(None).request_id for _ in range(100)}
    assert len(ids) == 100
    assert all(one.startswith("req_") and len(one) == 36 for one in ids)


def test_an_id_of_our_own_is_never_another_request_s() -> None:
    ids = [fresh_id() for _ in range(1000)]
    assert len(set(ids)) == 1000
    assert all(re.fullmatch("req_[0-9a-f]{32}", each) for each in ids)


def test_r1_no_repr_shows_what_was_put_on_a_request() -> None:
    made = exchange(secrets=(b"sk-canary-0123456789",))
    assert b"canary" in made.secrets[0]
    assert "canary" not in repr(made)
