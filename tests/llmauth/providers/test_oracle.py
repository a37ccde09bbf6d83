"""Oracle: its hosts by region and realm, two planes, two kinds of credential, and what its refusals mean."""

import json

import pytest

from llmauth.addresses import HostPort
from llmauth.clock import ManualClock
from llmauth.codecs.embeddings.request import EmbeddingRequest
from llmauth.demo.credentials import OciIdentity
from llmauth.errors import InstanceIncomplete, InternalError, NoCredential, UnsupportedParameter
from llmauth.http import Door, Headers, Request, Url
from llmauth.providers.base import Verdict
from llmauth.providers.named import Call
from llmauth.providers.oracle import REALMS, OracleHandler, OracleOptions
from llmauth.secrets import ApiKey, AwsKeys, BearerToken, OciKey, Secret

INFERENCE = "inference.generativeai.eu-frankfurt-1.oci.oraclecloud.com"
MANAGEMENT = "generativeai.eu-frankfurt-1.oci.oraclecloud.com"
CHAT = "/20231130/actions/chat"
HANDLER = OracleHandler("eu", OracleOptions(region="eu-frankfurt-1"), ManualClock(wall=1_800_000_000.0))
IDENTITY = OciIdentity.random()
KEY = OciKey(key_id=Secret(IDENTITY.key_id), private_key=Secret(IDENTITY.private_key))


def request_to(host=INFERENCE, path=CHAT, body=b"{}"):
    return Request(method="POST", url=Url("https", host, 443, path), headers=Headers(), door=Door.TUNNEL, body=body)


@pytest.mark.parametrize(
    ("region", "domain"),
    [
        ("us-chicago-1", "oraclecloud.com"),
        ("us-saltlake-2", "oraclecloud.com"),
        ("xx-unheardof-9", "oraclecloud.com"),
        ("us-gov-ashburn-1", "oraclegovcloud.com"),
        ("us-langley-1", "oraclegovcloud.com"),
        ("uk-gov-london-1", "oraclegovcloud.uk"),
        ("eu-frankfurt-1", "oraclecloud.com"),
        ("eu-frankfurt-2", "oraclecloud.eu"),
        ("ap-chiyoda-1", "oraclecloud8.com"),
        ("eu-dcc-milan-2", "oraclecloud14.com"),
    ],
)
def test_every_host_of_the_region_is_ours_in_its_realm(region, domain):
    handler = OracleHandler("x", OracleOptions(region=region))
    names = {f"{kind}generativeai.{region}.{ds}oci.{domain}" for kind in ("inference.", "") for ds in ("ds.", "")}
    assert handler.hosts == {HostPort(name, 443) for name in names}
    assert domain in REALMS


@pytest.mark.parametrize(
    ("path", "host"),
    [
        (CHAT, INFERENCE),
        ("/20231130/actions/embedText?x=1", INFERENCE),
        ("/20300101/actions/anything", INFERENCE),
        ("/openai/v1/chat/completions", INFERENCE),
        ("/openai/v1/models?limit=1", INFERENCE),
        ("/20231130/models?compartmentId=ocid1.compartment.oc1..a&capability=CHAT", MANAGEMENT),
        ("/20231130/models/a%2Factions/x", MANAGEMENT),
        ("/20231130/dedicatedAiClusters/x/actions/changeCompartment", MANAGEMENT),
        ("/actions/chat", MANAGEMENT),
        ("/20231130?/actions/", MANAGEMENT),
        ("/", MANAGEMENT),
    ],
)
def test_the_path_decides_between_two_planes(path, host):
    assert HANDLER.forward(path, "POST") == Url("https", host, 443, path)


def test_with_a_base_url_every_call_goes_there_and_is_signed_for_it():
    handler = OracleHandler("x", OracleOptions(base_url="https://genai.corp.example/oci"))
    url = handler.forward("/20231130/models", "GET")
    assert (url.host, url.path) == ("genai.corp.example", "/oci/20231130/models")
    assert handler.hosts == {url.origin}
    bearer = handler.authorize(request_to(url.host, "/oci/openai/v1/models"), ApiKey(value=Secret("k")))
    assert bearer.headers.all("authorization") == ["Bearer k"]


def test_a_signing_key_signs_every_path_of_both_planes():
    for host, path in ((INFERENCE, CHAT), (INFERENCE, "/openai/v1/responses"), (MANAGEMENT, "/20231130/models?a=b")):
        signed = HANDLER.authorize(request_to(host, path), KEY)
        assert f'keyId="{IDENTITY.key_id}"' in (signed.headers.get("authorization") or "")
        assert signed.headers.all("date") == ["Fri, 15 Jan 2027 08:00:00 GMT"]
        assert signed.headers.all("host") == [host]


@pytest.mark.parametrize("kind", [ApiKey, BearerToken])
def test_an_api_key_is_sent_where_it_is_understood_and_nowhere_else(kind):
    key = kind(value=Secret("canary-7f3a"))
    signed = HANDLER.authorize(request_to(path="/openai/v1/chat/completions"), key)
    assert signed.headers.all("authorization") == ["Bearer canary-7f3a"]
    assert "x-content-sha256" not in signed.headers
    for path in (CHAT, "/20231130/models", "/openai", "/xopenai/v1", "/20231130/openai/v1"):
        with pytest.raises(NoCredential, match="serves paths under /openai/v1") as caught:
            HANDLER.authorize(request_to(path=path), key)
        assert "canary" not in f"{caught.value} {caught.value.detail}"


def test_another_kind_of_credential_goes_nowhere():
    with pytest.raises(InternalError, match="kind of credential"):
        HANDLER.authorize(request_to(), AwsKeys(access_key_id="a", secret_access_key=Secret("b")))


@pytest.mark.parametrize(
    "host",
    [
        "inference.generativeai.us-chicago-1.oci.oraclecloud.com",
        "inference.generativeai.eu-frankfurt-1.oci.oraclecloud.eu",
        "identity.eu-frankfurt-1.oci.oraclecloud.com",
        f"{INFERENCE}.evil.example",
    ],
)
def test_s1_another_region_realm_or_service_is_another_place(host):
    with pytest.raises(InternalError, match="does not serve"):
        HANDLER.authorize(request_to(host), KEY)


@pytest.mark.parametrize(
    "region",
    ["", "us-chicago-1.evil.example/", "us_chicago_1", "US-CHICAGO-1", "us-chicago", "us-chicago-1\n", "a-" * 30 + "1"],
)
def test_s7_a_region_becomes_part_of_a_host_and_is_held_to_its_letters(region):
    with pytest.raises(ValueError, match="region"):
        OracleOptions(region=region)


def test_a_compartment_is_an_ocid():
    assert OracleOptions(compartment="ocid1.compartment.oc1..aaaa").compartment == "ocid1.compartment.oc1..aaaa"
    assert OracleOptions(compartment="ocid1.tenancy.oc1..aaaa").compartment
    with pytest.raises(ValueError, match="compartment"):
        OracleOptions(compartment="ocid1.user.oc1..aaaa")


@pytest.mark.parametrize(
    ("path", "body", "model"),
    [
        (CHAT, b'{"servingMode": {"servingType": "ON_DEMAND", "modelId": "meta.llama"}}', "meta.llama"),
        (CHAT, b'{"servingMode": {"servingType": "DEDICATED", "endpointId": "ocid1"}}', "ocid1"),
        (CHAT, b'{"servingMode": {"servingType": "DEDICATED", "endpointId": "ocid1", "modelId": "m"}}', "ocid1"),
        (CHAT, b'{"servingMode": {"modelId": "m"}, "ServingMode": {"modelId": "n"}}', None),
        ("/openai/v1/chat/completions", b'{"servingMode": {"modelId": "m"}}', None),
        (CHAT, b'{"servingMode": "x", "model": "y"}', None),
        ("/openai/v1/chat/completions", b'{"model": "xai.grok-4"}', "xai.grok-4"),
    ],
)
def test_the_model_stands_in_the_serving_mode(path, body, model):
    told = HANDLER.named(Call(method="POST", path=path, body=body))
    assert (told.model, told.certain) == (model, model is not None)


@pytest.mark.parametrize(
    ("status", "date", "verdict"),
    [
        (401, "Fri, 15 Jan 2027 08:00:01 GMT", Verdict.REJECTED),
        (401, "Fri, 15 Jan 2027 08:04:00 GMT", Verdict.REJECTED),
        (401, "Fri, 15 Jan 2027 08:05:01 GMT", Verdict.EXPIRED),
        (401, "Fri, 15 Jan 2027 07:54:00 GMT", Verdict.EXPIRED),
        (401, None, Verdict.REJECTED),
        (401, "soon", Verdict.REJECTED),
        (401, "Fri, 15 Jan 99999 08:00:00 GMT", Verdict.REJECTED),
        (404, "Fri, 15 Jan 2027 09:00:00 GMT", Verdict.PASSES),
        (403, None, Verdict.PASSES),
        (429, None, Verdict.PASSES),
        (200, None, Verdict.PASSES),
    ],
)
def test_only_a_401_is_about_the_key_and_its_date_tells_of_the_clock(status, date, verdict):
    assert HANDLER.verdict(status, Headers([(b"Date", date.encode())] if date else [])) is verdict


def test_only_a_large_key_is_slow():
    assert not HANDLER.is_slow(KEY)
    assert not HANDLER.is_slow(ApiKey(value=Secret("k")))


@pytest.mark.parametrize(("model", "sized"), [("cohere.embed-v4.0", True), ("cohere.embed-english-v3.0", False)])
def test_coheres_models_embed(model, sized):
    place = "ocid1.compartment.oc1..aaaa"
    way = OracleHandler("eu", OracleOptions(region="eu-frankfurt-1", compartment=place)).embeddings(model)
    assert way.path == "/20231130/actions/embedText"
    request = EmbeddingRequest(model=model, inputs=("a",), dimensions=512)
    if not sized:
        with pytest.raises(UnsupportedParameter):
            way.format.render(request)
        return
    told = json.loads(way.format.render(request)[0].body)
    assert (told["compartmentId"], told["servingMode"]["modelId"], told["outputDimensions"]) == (place, model, 512)


def test_other_models_do_not_and_without_a_compartment_none_does():
    assert HANDLER.embeddings("cohere.command-a-03-2025") is None
    with pytest.raises(InstanceIncomplete):
        HANDLER.embeddings("cohere.embed-v4.0")
