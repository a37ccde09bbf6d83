"""The walk with a small cast: good calls, an answer cut short, a provider that says no, a key that ends in a tunnel."""

from __future__ import annotations

import pytest

from llmauth.demo.behaviour import Behaviour
from llmauth.demo.walk import protocol, tour
from llmauth.demo.walk.shells import PROXY, Place, Shell, Step, behind_proxy
from llmauth.demo.walk.stage import Stage


def small(place: Place, *, curl: bool) -> tuple[Shell, ...]:
    steps = (
        Step(call="openai.chat"),
        Step(call="openai.responses"),
        Step(call="openai.chat", status=401, note="key revoked", revoke=True),
    )
    variables = behind_proxy(place, "carol", place.keys["carol"])
    rerouted = Shell(caller="carol", way=PROXY, variables=variables, steps=(protocol.rerouted(), protocol.rerouted()))
    return (rerouted, Shell(caller="carol", way=PROXY, variables=variables, steps=steps))


def test_walks_and_finds_what_goes_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tour, "cast", small)
    told: list[str] = []
    with Stage(("carol",)) as stage:
        stage.emulators.behave("api.openai.com", Behaviour(status=403), path="/v1/responses")
        steps = tour.walk(stage, told.append)
        rerouted = next(steps)
        stage.emulators.behave("bedrock-runtime.eu-west-1.amazonaws.com", Behaviour(tokens=3))
        short, good, broken, revoked = steps
        requests = stage.emulators.requests()
    assert rerouted.problems == ()
    assert rerouted.received is not None
    assert rerouted.received.path == "/model/eu.anthropic.claude-haiku-4-5-20251001-v1%3A0/converse"
    assert short.problems[0].endswith(", got 'Hello from the'")
    assert good.problems == ()
    assert good.received is not None
    assert good.received.real
    assert broken.problems[0].startswith("expected status 200, got 403, PermissionDeniedError")
    assert revoked.problems == ()
    assert revoked.received is None
    assert len(requests) == 4
    assert told[-1] == "carol calls openai.chat"
