"""An instance has one handler, by its exact name."""

import pytest

from llmauth.context import Target, TransparentRoute
from llmauth.errors import UnknownInstance
from llmauth.providers import build
from llmauth.providers.bedrock import BedrockOptions
from llmauth.routers.provider import ProviderRouter

HANDLERS = {name: build(name, BedrockOptions(region="eu-west-1")) for name in ("bedrock", "bedrock_eu1")}
ROUTER = ProviderRouter(HANDLERS)


@pytest.mark.parametrize("name", HANDLERS)
def test_a_route_and_a_target_lead_to_the_same_handler(name):
    for where in (TransparentRoute(instance=name, path="/", native=True), Target(instance=name, provider="bedrock")):
        handler, decision = ROUTER.handler(where)
        assert handler is HANDLERS[name]
        assert (decision.router, decision.input, decision.outcome) == ("provider", name, "bedrock eu-west-1")


def test_an_unknown_instance_is_told_the_known_ones():
    with pytest.raises(UnknownInstance, match="'bedrock_eu'") as caught:
        ROUTER.handler(Target(instance="bedrock_eu", provider="bedrock"))
    assert caught.value.hint == "Configured are: bedrock, bedrock_eu1."
