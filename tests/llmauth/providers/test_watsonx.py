"""watsonx: its hosts by region, where a path leads, its token, and what its refusals mean."""

import json

import pytest

from llmauth.addresses import HostPort
from llmauth.codecs.embeddings.request import EmbeddingRequest
from llmauth.errors import InstanceIncomplete, InternalError
from llmauth.http import Door, Headers, Request, Url
from llmauth.providers.base import Verdict
from llmauth.providers.named import Call
from llmauth.providers.watsonx import WatsonxHandler, WatsonxOptions
from llmauth.secrets import ApiKey, AwsKeys, BearerToken, OciKey, Secret

MODELS = "eu-de.ml.cloud.ibm.com"
PLATFORM = "api.eu-de.dataplatform.cloud.ibm.com"
HANDLER = WatsonxHandler("eu", WatsonxOptions(region="eu-de"))


def request_to(host=MODELS, path="/ml/v1/text/chat?version=2026-10-14", body=b'{"model_id": "ibm/granite"}'):
    return Request(method="POST", url=Url("https", host, 443, path), headers=Headers(), door=Door.TUNNEL, body=body)


@pytest.mark.parametrize(
    ("region", "platform"),
    [
        ("us-south", "api.dataplatform.cloud.ibm.com"),
        ("eu-de", "api.eu-de.dataplatform.cloud.ibm.com"),
        ("eu-gb", "api.eu-gb.dataplatform.cloud.ibm.com"),
        ("jp-tok", "api.jp-tok.dataplatform.cloud.ibm.com"),
        ("au-syd", "api.au-syd.dai.cloud.ibm.com"),
        ("ca-tor", "api.ca-tor.dai.cloud.ibm.com"),
    ],
)
def test_every_host_that_the_sdk_would_call_is_ours(region, platform):
    """The pairs are those of ibm-watsonx-ai 1.8."""
    handler = WatsonxHandler("x", WatsonxOptions(region=region))
    for name in (f"{region}.ml.cloud.ibm.com", platform, "api.dataplatform.cloud.ibm.com"):
        assert handler.owns(HostPort(name, 443))
        assert handler.owns(HostPort(f"private.{name}", 443))
        assert not handler.owns(HostPort(name, 8443))
    assert handler.forward("/v2/projects/p?include=x", "GET") == Url("https", platform, 443, "/v2/projects/p?include=x")
    assert not any(host.host.startswith("iam.") for host in handler.hosts)


@pytest.mark.parametrize(
    ("path", "host"),
    [
        ("/ml/v1/text/chat?version=2026-10-14", MODELS),
        ("/ml/v1/deployments/a%2Fb/text/chat_stream?version=x", MODELS),
        ("/ml?x", MODELS),
        ("/v2/spaces/s", PLATFORM),
        ("/mlx/v1", PLATFORM),
        ("/?ml", PLATFORM),
    ],
)
def test_a_path_leads_to_one_of_two_services(path, host):
    assert HANDLER.forward(path, "POST") == Url("https", host, 443, path)


def test_with_a_base_url_every_call_goes_there():
    handler = WatsonxHandler("x", WatsonxOptions(base_url="https://cpd.corp.example/watsonx"))
    assert handler.hosts == {HostPort("cpd.corp.example", 443)}
    assert handler.forward("/v2/projects/p", "GET").path == "/watsonx/v2/projects/p"


def test_a_token_is_sent_and_nothing_else_is_one():
    signed = HANDLER.authorize(request_to(), BearerToken(value=Secret("t")))
    assert signed.headers.all("authorization") == ["Bearer t"]


@pytest.mark.parametrize(
    "credential",
    [
        ApiKey(value=Secret("canary-7f3a")),
        AwsKeys(access_key_id="a", secret_access_key=Secret("canary-7f3a")),
        OciKey(key_id=Secret("a"), private_key=Secret("canary-7f3a")),
    ],
    ids=lambda credential: type(credential).__name__,
)
def test_a_key_that_was_not_exchanged_goes_nowhere(credential):
    with pytest.raises(InternalError, match="kind of credential") as caught:
        HANDLER.authorize(request_to(), credential)
    assert "canary" not in f"{caught.value} {caught.value.detail}"


@pytest.mark.parametrize(
    "host", ["us-south.ml.cloud.ibm.com", "iam.cloud.ibm.com", "eu-de.ml.cloud.ibm.com.evil.example", "cloud.ibm.com"]
)
def test_s1_another_host_is_another_place(host):
    with pytest.raises(InternalError, match="does not serve"):
        HANDLER.authorize(request_to(host), BearerToken(value=Secret("t")))


@pytest.mark.parametrize("region", ["", "eu-de.evil.example/", "eu_de", "EU-DE", "-", "eu-de\n", "a" * 50, "x.", "@"])
def test_s7_a_region_becomes_part_of_a_host_and_is_held_to_its_letters(region):
    with pytest.raises(ValueError, match="region"):
        WatsonxOptions(region=region)


def test_a_project_or_a_space():
    assert WatsonxOptions(project_id="11111111-2222-3333-4444-555555555555").space_id is None
    with pytest.raises(ValueError, match="not both"):
        WatsonxOptions(project_id="p", space_id="s")
    with pytest.raises(ValueError, match="space_id"):
        WatsonxOptions(space_id="a/b")


@pytest.mark.parametrize(
    ("path", "body", "model"),
    [
        ("/ml/v1/text/chat", b'{"model_id": "ibm/granite", "model": "x"}', "ibm/granite"),
        ("/ml/gateway/v1/chat/completions", b'{"model": "x"}', "x"),
        ("/ml/v1/deployments/d/text/chat", b'{"messages": []}', "d"),
        ("/ml/v1/deployments/d/text/chat", b'{"model_id": "m"}', "d"),
        ("/ml/gateway/v1/chat/completions", b'{"model_id": "m"}', None),
        ("/ml/v1/text/chat", b'{"model": "m"}', None),
        ("/ml/v1/text/chat", b'{"model_id": 7}', None),
        ("/ml/v1/text/chat", b"[]", None),
    ],
)
def test_the_model_has_a_name_of_its_own(path, body, model):
    told = HANDLER.named(Call(method="POST", path=path, body=body))
    assert (told.model, told.certain) == (model, model is not None)


def test_h5_every_member_that_could_count_is_named():
    def named(path):
        return HANDLER.named(Call(method="POST", path=path, body=b'{"model": "m", "model_id": "n"}'))

    assert (named("/ml/gateway/v1/chat/completions").model, named("/ml/gateway/v1/x").others) == ("m", ("n",))
    assert (named("/ml/v1/text/chat").model, named("/ml/v1/text/chat").others) == ("n", ("m",))
    assert named("/ml/v1/deployments/d/text/chat").others == ("m", "n")
    assert not named("/ml/v1/deployments/d/deployments/e").certain
    assert not named("/ml/v4/trainings").certain


@pytest.mark.parametrize(
    ("status", "verdict"), [(401, Verdict.EXPIRED), *((s, Verdict.PASSES) for s in (200, 400, 403, 404, 429, 500))]
)
def test_only_a_401_is_about_the_token(status, verdict):
    assert HANDLER.verdict(status, Headers()) is verdict
    assert not HANDLER.is_slow(BearerToken(value=Secret("t")))


def test_embeddings_are_asked_for_a_project_or_a_space():
    request = EmbeddingRequest(model="ibm/slate", inputs=("a",))
    for scope in ({"project_id": "p1"}, {"space_id": "s1"}):
        way = WatsonxHandler("x", WatsonxOptions.model_validate(scope)).embeddings("ibm/slate")
        assert way.path == "/ml/v1/text/embeddings?version=2026-10-14"
        assert scope.items() <= json.loads(way.format.render(request)[0].body).items()
    with pytest.raises(InstanceIncomplete):
        HANDLER.embeddings("ibm/slate")
