"""In transparent mode the model is shown and never changed; a body is parsed only where that is asked for."""

import pytest

from llmauth.context import ProtocolRoute, Target, TransparentRoute
from llmauth.errors import UnknownModel
from llmauth.http import Door, Headers, Request, Url
from llmauth.providers import build
from llmauth.providers.bedrock import BedrockOptions
from llmauth.providers.openai import OpenAIOptions
from llmauth.routers.catalogue import Catalogue, Rule
from llmauth.routers.model import ModelRouter, target_of

OPENAI = build("main", OpenAIOptions())
BEDROCK = build("eu", BedrockOptions(region="eu-west-1"))
CATALOGUE = Catalogue(
    {"main": OPENAI, "eu": BEDROCK},
    [Rule(name="claude", instance="eu", model="anthropic.claude-3-haiku-20240307-v1:0")],
)


def resolve(router, handler, path, body=b""):
    route = TransparentRoute(instance=handler.name, path=path, native=False)
    url = Url("http", "gw", 8080, f"/transparent/{handler.name}{path}")
    request = Request(method="POST", url=url, headers=Headers(), door=Door.GATEWAY, body=body)
    return router.resolve(route, handler, router.named(path, handler, request))


def test_a_model_in_the_path_is_always_known():
    target, decision = resolve(ModelRouter(CATALOGUE), BEDROCK, "/model/a.b%3A0/converse")
    assert target == Target(instance="eu", provider="bedrock", region="eu-west-1", model="a.b:0")
    assert (decision.router, decision.input, decision.outcome) == ("model", "a.b:0", "a.b:0")


def test_r1_a_key_in_the_place_of_a_model_is_not_shown():
    target, decision = resolve(ModelRouter(CATALOGUE), BEDROCK, "/model/llmauth_abcdefghij_secret/converse")
    assert (target.model, decision.outcome) == (None, "unread")


@pytest.mark.parametrize(("read_bodies", "model"), [(False, None), (True, "gpt-5")])
def test_a_model_in_the_body_only_where_it_is_wanted(read_bodies, model):
    router = ModelRouter(CATALOGUE, read_bodies=read_bodies)
    for _ in range(2):
        target, decision = resolve(router, OPENAI, "/v1/chat/completions", b'{"model":"gpt-5"}')
        assert target == Target(instance="main", provider="openai", model=model)
        assert decision.outcome == (model or "unread")


def test_one_request_does_not_lend_its_model_to_the_next():
    router = ModelRouter(CATALOGUE, read_bodies=True)
    bodies = [b'{"model":"a"}', b"{}", b'{"model":"b"}', b"{}"]
    assert [resolve(router, OPENAI, "/v1/x", body)[0].model for body in bodies] == ["a", None, "b", None]


def test_a_decision_holds_no_more_than_200_characters_of_a_client():
    _, decision = resolve(ModelRouter(CATALOGUE), BEDROCK, f"/model/{'x' * 5000}/converse")
    assert len(decision.input) == 200


def chosen(model, instance=None):
    route = ProtocolRoute(protocol="openai", operation="chat", path="/v1/chat/completions", instance=instance)
    return ModelRouter(CATALOGUE).choose(route, model)


def test_in_protocol_mode_the_model_leads_to_its_instance():
    found, decision = chosen("claude")
    assert (found.instance, found.model) == ("eu", "anthropic.claude-3-haiku-20240307-v1:0")
    assert (decision.router, decision.input, decision.reason) == ("model", "claude", "rule 'claude'")


def test_the_instance_of_the_path_is_kept():
    found, _ = chosen("claude", "main")
    assert (found.instance, found.model) == ("main", "claude")


def test_the_target_has_the_providers_own_name():
    found, _ = chosen("eu/anthropic.claude-x")
    profiled = build("eu", BedrockOptions(region="eu-west-1", inference_profiles=True))
    assert target_of(found, profiled) == Target(
        instance="eu", provider="bedrock", region="eu-west-1", model="eu.anthropic.claude-x"
    )


def test_nobodys_model_is_unknown():
    with pytest.raises(UnknownModel):
        chosen("nobodys")
