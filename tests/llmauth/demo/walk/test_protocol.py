"""The calls of protocol mode: each by a door of its own, and each knows what a provider must receive."""

from __future__ import annotations

from llmauth.demo.walk import protocol
from llmauth.demo.walk.shells import Step
from tests.llmauth.demo.walk.samples import PLACE

EVERY = (protocol.rerouted(), *protocol.spoken(PLACE, curl=True))


def doors(*steps: Step) -> list[str]:
    return [f"{step.spoken.door} {step.spoken.model}".strip() for step in steps if step.spoken is not None]


def test_every_door_is_told_and_the_name_of_a_model_where_it_is_the_gateways() -> None:
    assert doors(*EVERY) == [
        "eu.api.openai.com/v1 gpt-4o-mini",
        "/openai/bedrock_us1/v1",
        "/v1 fast",
        "/anthropic/openai",
        "/v1 claude",
        "/v1 claude",
        "/v1/bedrock/invoke-model claude",
        "/v1",
    ]


def test_all_but_the_list_of_models_are_answered_by_the_instance_of_the_configuration() -> None:
    wanted = [step.spoken.wanted for step in EVERY if step.spoken is not None]
    assert [one.instance if one else None for one in wanted] == [
        "bedrock_eu1",
        "bedrock_us1",
        "vertex_us1",
        "openai",
        "bedrock_us1",
        "bedrock_us1",
        "bedrock_us1",
        None,
    ]


def test_no_program_is_told_of_the_rerouted_hosts_gateway() -> None:
    assert not any("127.0.0.1" in value for value in protocol.rerouted().exports.values())


def test_an_agent_keeps_its_client_between_its_calls() -> None:
    called, told = (step for step in EVERY if step.call.startswith("agent."))
    assert called.exports
    assert not told.exports
