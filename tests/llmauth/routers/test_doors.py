"""The paths of protocol mode: each leads to one protocol, one operation and one instance, or names what there is."""

import random

import pytest

from llmauth import providers
from llmauth.context import EnvelopeRoute, ProtocolRoute, TransparentRoute
from llmauth.errors import NotFound, UnknownInstance
from llmauth.providers import options_model
from llmauth.routers.catalogue import Catalogue, Rule
from llmauth.routers.doors import ROOTS, Doors

CLAUDE = "anthropic.claude-3-sonnet-20240229-v1:0"


def made(kind, **options):
    return options_model(kind).model_validate({"type": kind, **options})


INSTANCES = {
    name: providers.build(name, options)
    for name, options in {
        "openai": made("openai"),
        "claude_main": made("anthropic"),
        "bedrock": made("bedrock", region="us-east-1"),
        "bedrock_us1": made("bedrock", region="us-east-1", default=True),
        "bedrock_eu1": made("bedrock", region="eu-west-1"),
        "azure_x": made("azure", base_url="https://x.openai.azure.com"),
    }.items()
}
NAMES = {**{name: name for name in INSTANCES}, "anthropic": "claude_main", "azure": "azure_x"}
CATALOGUE = Catalogue(INSTANCES, [Rule(name="claude-3-sonnet", instance="bedrock_us1", model=CLAUDE)])
DOORS = Doors(INSTANCES, NAMES, CATALOGUE)


def route_of(path):
    found = DOORS.route(path)
    return None if found is None else found[0]


def spoken(protocol, operation, instance, name=""):
    return (protocol, operation, instance, name)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/v1/chat/completions", spoken("openai", "chat", None)),
        ("/v1/responses?x=1", spoken("openai", "responses", None)),
        ("/v1/embeddings", spoken("openai", "embeddings", None)),
        ("/v1/messages", spoken("anthropic", "messages", None)),
        ("/v1/messages/count_tokens?beta=true", spoken("anthropic", "count_tokens", None)),
        ("/v1/models", spoken("openai", "models", None)),
        ("/v1/models/gpt-4o", spoken("openai", "model", None, "gpt-4o")),
        ("/v1/models/openai%2Fgpt-4o", spoken("openai", "model", None, "openai/gpt-4o")),
        ("/v1/models/openai/gpt-4o", spoken("openai", "model", None, "openai/gpt-4o")),
        ("/openai/bedrock_us1/chat/completions", spoken("openai", "chat", "bedrock_us1")),
        ("/openai/bedrock_us1/v1/chat/completions", spoken("openai", "chat", "bedrock_us1")),
        ("/openai/bedrock/v1/responses", spoken("openai", "responses", "bedrock")),
        ("/openai/anthropic/v1/chat/completions", spoken("openai", "chat", "claude_main")),
        ("/openai/claude-3-sonnet/chat/completions", spoken("openai", "chat", "bedrock_us1")),
        ("/openai/azure_x/models", spoken("openai", "models", "azure_x")),
        ("/anthropic/bedrock_us1/v1/messages", spoken("anthropic", "messages", "bedrock_us1")),
        ("/anthropic/bedrock_us1/messages?beta=true", spoken("anthropic", "messages", "bedrock_us1")),
        ("/anthropic/openai/v1/models/x", spoken("anthropic", "model", "openai", "x")),
    ],
)
def test_a_path_says_what_is_asked(path, expected):
    route = route_of(path)
    assert isinstance(route, ProtocolRoute)
    assert (route.protocol, route.operation, route.instance, route.name) == expected
    assert route.path == path


@pytest.mark.parametrize(
    ("path", "instance", "own"),
    [
        ("/openai/openai/v1/files?limit=2", "openai", "/v1/files?limit=2"),
        ("/openai/openai/audio/speech", "openai", "/v1/audio/speech"),
        ("/openai/openai/v1/models", "openai", "/v1/models"),
        ("/openai/azure_x/v1/files", "azure_x", "/openai/v1/files"),
        ("/anthropic/claude_main/v1/messages/batches", "claude_main", "/v1/messages/batches"),
    ],
)
def test_where_the_protocol_is_the_providers_own_the_rest_passes(path, instance, own):
    assert route_of(path) == TransparentRoute(instance=instance, path=own, native=False)


@pytest.mark.parametrize(
    "path", ["/openai/bedrock_us1/v1/files", "/anthropic/openai/v1/files", "/openai/bedrock_us1", "/openai/openai/"]
)
def test_elsewhere_it_is_refused_and_what_there_is_named(path):
    with pytest.raises(NotFound, match="nothing that can be asked") as refused:
        DOORS.route(path)
    assert "Served are: " in refused.value.hint


@pytest.mark.parametrize("path", ["/openai/nobody/chat/completions", "/anthropic/bedrock_us/v1/messages"])
def test_an_unknown_instance_is_told_the_known(path):
    with pytest.raises(UnknownInstance, match="No instance is named") as refused:
        DOORS.route(path)
    assert "bedrock_us1" in refused.value.hint


@pytest.mark.parametrize(
    "path",
    [
        *("/", "/v1", "/v1/", "/v2/chat/completions", "/v1/chat/completions/", "/v1/chat%2Fcompletions", "/V1/models"),
        *("/openai", "/openai/", "/openai//chat/completions", "/openai/%62edrock/chat/completions", "/openais/x/y"),
        *("/v1/bedrock/invoke-model/x", "/model/x/other", "/model//invoke", "/gemini/x/y"),
    ],
)
def test_every_other_path_is_none_of_these(path):
    assert route_of(path) is None


@pytest.mark.parametrize("prefix", ["", "/v1"])
def test_the_envelope_of_bedrock(prefix):
    assert route_of(f"{prefix}/bedrock/invoke-model") == EnvelopeRoute(
        path=f"{prefix}/bedrock/invoke-model", stream=False
    )
    route = route_of(f"{prefix}/bedrock/invoke-model-with-response-stream?x")
    assert isinstance(route, EnvelopeRoute)
    assert route.stream


@pytest.mark.parametrize(
    ("path", "instance", "own"),
    [
        ("/model/claude-3-sonnet/invoke", "bedrock_us1", f"/model/{CLAUDE.replace(':', '%3A')}/invoke"),
        ("/model/amazon.nova-pro-v1%3A0/converse", "bedrock_us1", "/model/amazon.nova-pro-v1%3A0/converse"),
        (
            "/model/amazon.nova-pro-v1:0/converse-stream?a=b",
            "bedrock_us1",
            "/model/amazon.nova-pro-v1:0/converse-stream?a=b",
        ),
        ("/model/eu.amazon.nova-pro-v1:0/invoke", "bedrock_eu1", "/model/eu.amazon.nova-pro-v1:0/invoke"),
        (
            "/model/arn%3Aaws%3Abedrock%3Aeu-west-1%3A1%3Aprompt-router%2Fx/converse",
            "bedrock_eu1",
            "/model/arn%3Aaws%3Abedrock%3Aeu-west-1%3A1%3Aprompt-router%2Fx/converse",
        ),
    ],
)
def test_bedrocks_own_paths_at_the_root(path, instance, own):
    assert route_of(path) == TransparentRoute(instance=instance, path=own, native=False)


def test_no_region_serves_every_model():
    with pytest.raises(UnknownInstance):
        DOORS.route("/model/apac.amazon.nova-pro-v1:0/invoke")


def test_names_that_begin_alike_are_told_apart_every_time():
    chance = random.Random(3)
    for _ in range(1000):
        names = list(INSTANCES)
        chance.shuffle(names)
        doors = Doors({name: INSTANCES[name] for name in names}, {name: name for name in names}, CATALOGUE)
        for name in ("bedrock", "bedrock_us1", "bedrock_eu1"):
            found = doors.route(f"/openai/{name}/v1/chat/completions")
            assert found is not None
            assert isinstance(found[0], ProtocolRoute)
            assert found[0].instance == name


def test_a_key_that_was_put_there_is_not_repeated():
    with pytest.raises(UnknownInstance) as refused:
        DOORS.route("/openai/llmauth_abcdefghij_secret/chat/completions")
    assert "secret" not in refused.value.sentence


def test_a_native_host_knows_inference_alone():
    found = DOORS.at_host("openai", "/v1/chat/completions", None)
    assert found is not None
    assert (found[0].operation, found[0].instance) == ("chat", None)
    assert DOORS.at_host("openai", "/v1/messages", None) is None
    assert DOORS.at_host("anthropic", "/v1/messages?beta=true", "openai") is not None
    assert DOORS.at_host("openai", "/v1/files", None) is None


@pytest.mark.parametrize(
    "path", ["/v1/chat%2fcompletions", "//v1/chat/completions", "/v1/chat/completions/?x", "/V1/Responses"]
)
def test_another_spelling_is_no_inference(path):
    assert DOORS.at_host("openai", path, None) is None


def test_a_query_is_no_part_of_a_model():
    assert DOORS.route("/model/x?y=/invoke") is None


def test_what_refusals_name_is_there():
    assert all(route_of(path) is not None for path in ROOTS)
