"""A request's stages: nothing is lost on the way, nothing is half known, and nothing changes afterwards."""

from dataclasses import FrozenInstanceError, fields

import pytest

from llmauth import context
from llmauth.addresses import HostPort
from llmauth.context import (
    Authenticated,
    Carried,
    Credentialed,
    Decision,
    Identity,
    RequestContext,
    Routed,
    Target,
    TransparentRoute,
    advance,
    complete,
)

ALICE = Identity(user="alice", method="api_key", key_id="k1", groups=("dev",))
ROUTE = TransparentRoute(instance="openai", path="/v1/models", native=True)
TARGET = Target(instance="openai", provider="openai")
ARRIVED = RequestContext(request_id="req_1", received_at=1.5, started=2.5)


def decision(router) -> Decision:
    return Decision(router=router, input="in", outcome="out", reason="because")


AUTH, MODE, MODEL, CREDENTIAL = map(decision, ("auth", "mode", "model", "credential"))


def whole_way() -> Credentialed:
    authenticated = advance(ARRIVED, Authenticated, AUTH, identity=ALICE)
    routed = advance(authenticated, Routed, MODE, MODEL, route=ROUTE, target=TARGET)
    return advance(routed, Credentialed, CREDENTIAL, strategy="environment", expires_at=None)


def test_the_whole_way_is_what_building_it_at_once_is():
    there = whole_way()
    assert type(there) is Credentialed
    assert there == Credentialed(
        request_id="req_1",
        received_at=1.5,
        started=2.5,
        decisions=(AUTH, MODE, MODEL, CREDENTIAL),
        identity=ALICE,
        route=ROUTE,
        target=TARGET,
        strategy="environment",
        expires_at=None,
    )
    assert hash(there) == hash(whole_way())


def test_an_earlier_stage_is_left_as_it_was():
    whole_way()
    assert (ARRIVED.request_id, ARRIVED.received_at, ARRIVED.started, ARRIVED.decisions) == ("req_1", 1.5, 2.5, ())


@pytest.mark.parametrize(
    ("stage", "more"),
    [
        (Authenticated, {}),
        (Authenticated, {"identty": ALICE}),
        (Authenticated, {"identity": ALICE, "user": "mallory"}),
        (Routed, {"route": ROUTE, "target": TARGET}),  # without an identity
        (Routed, {"identity": ALICE, "route": ROUTE}),
        (Credentialed, {"strategy": "environment", "expires_at": None}),
        (Credentialed, {"identity": ALICE, "route": ROUTE, "target": TARGET, "strategy": "environment"}),
        (RequestContext, {"identity": ALICE}),
        (Authenticated, {"identity": ALICE, "decisions": ()}),  # nobody's decision is dropped
    ],
)
def test_nothing_gets_there_half_known_or_with_more(stage, more):
    with pytest.raises(TypeError):
        advance(ARRIVED, stage, **more)


def test_a_context_that_is_made_at_once_is_the_one_that_was_reached_by_steps():
    by_steps = advance(ARRIVED, Authenticated, identity=ALICE)
    at_once = complete(Authenticated, request_id="req_1", received_at=1.5, started=2.5, decisions=(), identity=ALICE)
    assert at_once == by_steps
    with pytest.raises(TypeError):
        complete(Authenticated, request_id="req_1", received_at=1.5, started=2.5, decisions=())


def test_what_is_carried_is_never_credentialed():
    """A request to a host that is no provider is known by its caller and its destination, and can be no more."""
    known = advance(ARRIVED, Authenticated, identity=ALICE)
    carried = advance(known, Carried, destination=HostPort("example.org", 80))
    assert (carried.identity, carried.destination) == (ALICE, HostPort("example.org", 80))
    with pytest.raises(TypeError):
        advance(carried, Routed, route=ROUTE, target=TARGET)
    with pytest.raises(TypeError):
        advance(carried, Credentialed, route=ROUTE, target=TARGET, strategy="x", expires_at=None)


def test_there_is_no_way_back():
    with pytest.raises(TypeError, match="Authenticated needs exactly decisions, identity, received_at"):
        advance(whole_way(), Authenticated)


@pytest.mark.parametrize("name", ["identity", "decisions", "strategy", "something_new"])
def test_what_is_known_is_frozen(name):
    with pytest.raises(FrozenInstanceError):
        setattr(whole_way(), name, "mallory")
    with pytest.raises(FrozenInstanceError):
        delattr(whole_way(), name)


def test_every_stage_can_be_reached():
    """`advance` has a table of the fields, made once: a stage that is not in it could never be entered."""
    stages = [each for each in vars(context).values() if isinstance(each, type) and issubclass(each, RequestContext)]
    assert {stage: {field.name for field in fields(stage)} for stage in stages} == context._FIELDS
