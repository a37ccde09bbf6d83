"""What an operator may change of protocol mode: strict instances, transformations, profiles, the shortest file."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest

from llmauth.demo.emulators import Emulators
from tests.e2e.protocol.calls import ask, chat
from tests.e2e.protocol.providers import CLAUDE_ON_BEDROCK
from tests.fixtures.serving import Serving, start

CLAUDE = CLAUDE_ON_BEDROCK.removeprefix("us.")
INSTANCES = {
    "strict": {"type": "bedrock", "region": "us-east-1", "strict": True},
    "changed": {"type": "bedrock", "region": "us-east-1"},
    "profiled": {"type": "bedrock", "region": "eu-west-1", "inference_profiles": True},
}
NOVA = "amazon.nova-pro-v1:0"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, shared_emulators: Emulators) -> Iterator[Serving]:
    changes = {"changed": {"defaults": {"max_tokens": 7, "temperature": 0.25}, "drop": ["user", "stop"]}}
    serving = start(
        tmp_path_factory.mktemp("configured"), shared_emulators, instances=INSTANCES, transformations=changes
    )
    serving.key()
    yield serving
    serving.stop()


@pytest.fixture
def configured(running: Serving, emulators: Emulators) -> Serving:
    return running


@pytest.mark.parametrize("more", [{"seed": 7}, {"novelty": 1}, {"logit_bias": {"1": 1}}])
def test_a_strict_instance_leaves_nothing_out(
    configured: Serving, emulators: Emulators, more: dict[str, object]
) -> None:
    told = ask(configured, "/openai/strict/chat/completions", chat(NOVA, **more))
    assert (told.status, told.json["error"]["param"]) == (400, next(iter(more)))
    assert emulators.requests() == ()
    assert ask(configured, "/openai/strict/chat/completions", chat(NOVA, temperature=0.5)).status == 200


def test_what_is_sent_differently_is_told(configured: Serving, emulators: Emulators) -> None:
    told = ask(configured, "/openai/changed/chat/completions", chat(NOVA, user="ada", stop=["END"], temperature=0.75))
    assert told.status == 200, told.body
    assert sorted(told.headers["x-llmauth-dropped"].split(", ")) == ["stop", "user"]
    (seen,) = emulators.requests()
    assert json.loads(seen.body)["inferenceConfig"] == {"maxTokens": 7, "temperature": 0.75}
    assert b"ada" not in seen.body


def test_a_model_is_asked_for_by_the_profile_of_its_region(configured: Serving, emulators: Emulators) -> None:
    told = ask(configured, "/openai/profiled/chat/completions", chat(CLAUDE))
    assert told.status == 200, told.body
    assert emulators.requests()[-1].target.startswith(b"/model/eu.anthropic.claude-sonnet-4-5")
    assert told.json["model"] == CLAUDE


def test_no_model_is_asked_across_a_border(configured: Serving, emulators: Emulators) -> None:
    for model, host in ((f"us.{CLAUDE}", "us-east-1"), (f"eu.{CLAUDE}", "eu-west-1")):
        assert ask(configured, "/v1/chat/completions", chat(model)).status == 200
        assert emulators.requests()[-1].host == f"bedrock-runtime.{host}.amazonaws.com"
    told = ask(configured, "/v1/chat/completions", chat(f"apac.{CLAUDE}"))
    assert (told.status, told.json["error"]["code"]) == (404, "model_not_found")


def test_the_users_own_file_serves_protocol_mode(serve: Callable[..., Serving], emulators: Emulators) -> None:
    """Nothing but `instances:`, as the seed shows it: a full id needs no more configuration."""
    serving = serve(instances={"bedrock_us1": {"type": "bedrock", "region": "us-east-1"}})
    told = ask(serving, "/openai/bedrock_us1/chat/completions", chat(NOVA))
    assert (told.status, told.json["object"]) == (200, "chat.completion")
