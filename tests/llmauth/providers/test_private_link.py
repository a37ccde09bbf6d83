"""Interface endpoints of AWS: what a name is one of, and which host a request to it names and is signed for."""

import pytest
from pydantic import ValidationError

from llmauth.addresses import HostPort
from llmauth.clock import ManualClock
from llmauth.http import Door, Headers, Request, Url
from llmauth.providers.bedrock import BedrockHandler, BedrockOptions
from llmauth.providers.private_link import Endpoint, Link, endpoint
from llmauth.secrets import ApiKey, AwsKeys, Secret

RUNTIME = "bedrock-runtime.us-east-1.amazonaws.com"
LINK = "vpce-0abc-xyz.bedrock-runtime.us-east-1.vpce.amazonaws.com"
CONTROL = "vpce-0def-uvw.bedrock.us-east-1.vpce.amazonaws.com"
KEYS = AwsKeys(access_key_id="AKIDEXAMPLE", secret_access_key=Secret("hidden"), session_token=Secret("session"))
CLOCK = ManualClock(wall=1_800_000_000.0)


def bedrock(base_url=f"https://{LINK}", region="us-east-1", **more):
    return BedrockHandler("vpc", BedrockOptions(region=region, base_url=base_url, **more), CLOCK)


def call(host, path="/model/x/converse"):
    headers = Headers([(b"Host", host.encode())])
    return Request(method="POST", url=Url("https", host, 443, path), headers=headers, door=Door.TUNNEL, body=b"{}")


@pytest.mark.parametrize(
    ("host", "found"),
    [
        (LINK, Endpoint(service="bedrock-runtime", region="us-east-1")),
        ("vpce-0a-1b-us-east-1a.bedrock.us-east-1.vpce.amazonaws.com", Endpoint(service="bedrock", region="us-east-1")),
        (
            "vpce-0a.bedrock-runtime.cn-north-1.vpce.amazonaws.com.cn",
            Endpoint(service="bedrock-runtime", region="cn-north-1"),
        ),
        (RUNTIME, None),
        ("vpce-0a.bedrock-runtime.us-east-1.vpce.amazonaws.com.attacker.example", None),
        ("attacker.example.vpce-0a.bedrock-runtime.us-east-1.vpce.amazonaws.com", None),
        ("vpce-0a.bedrock-runtime.us-east-1.vpce.amazonaws.example", None),
        ("llm.corp.example", None),
    ],
)
def test_a_name_tells_its_service_and_region(host, found):
    assert endpoint(host) == found


@pytest.mark.parametrize("host", [LINK, RUNTIME])
def test_a_request_names_the_service_and_is_signed_for_it(host):
    signed = bedrock().authorize(call(host), KEYS)
    assert signed.url == Url("https", RUNTIME, 443, "/model/x/converse")
    assert signed.headers.all("host") == [RUNTIME]
    assert "/us-east-1/bedrock/aws4_request" in signed.headers.get("authorization")
    plain = BedrockHandler("x", BedrockOptions(), CLOCK).authorize(call(RUNTIME), KEYS)
    assert signed.headers.fields == plain.headers.fields


def test_a_bedrock_api_key_goes_the_same_way():
    signed = bedrock().authorize(call(LINK), ApiKey(value=Secret("ABSK-key")))
    assert (signed.url.host, signed.headers.all("host")) == (RUNTIME, [RUNTIME])


def test_a_link_tells_where_its_service_is_dialled():
    assert bedrock().links == (Link(place=HostPort(LINK, 443), service=HostPort(RUNTIME, 443)),)
    assert bedrock(f"https://{LINK}:8443").links[0].place == HostPort(LINK, 8443)
    assert BedrockHandler("x", BedrockOptions(), CLOCK).links == ()


def test_the_control_plane_has_an_endpoint_of_its_own():
    handler = bedrock(control_plane_url=f"https://{CONTROL}")
    url = handler.forward("/foundation-models?byProvider=x", "GET")
    assert url == Url("https", "bedrock.us-east-1.amazonaws.com", 443, "/foundation-models?byProvider=x")
    assert handler.forward("/model/x/converse", "POST").host == RUNTIME
    assert [link.place.host for link in handler.links] == [LINK, CONTROL]


def test_mantle_is_signed_by_its_own_name():
    handler = bedrock("https://vpce-0a.bedrock-mantle.us-east-1.vpce.amazonaws.com")
    signed = handler.authorize(call("bedrock-mantle.us-east-1.api.aws", "/v1/responses"), KEYS)
    assert signed.headers.all("host") == ["bedrock-mantle.us-east-1.api.aws"]
    assert "/us-east-1/bedrock-mantle/aws4_request" in signed.headers.get("authorization")


def test_no_name_of_the_service_leads_past_the_endpoint():
    """Nothing is dialled but what is configured: names that would lead to the internet are not ours to serve."""
    assert bedrock().hosts == {HostPort(LINK, 443), HostPort(RUNTIME, 443)}


def test_another_base_url_keeps_its_own_name():
    handler = bedrock("https://llm.corp.example/aws")
    signed = handler.authorize(call("llm.corp.example", "/aws/model/x/converse"), KEYS)
    assert signed.headers.all("host") == ["llm.corp.example"]
    assert handler.hosts == {HostPort("llm.corp.example", 443)}


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (
            {"base_url": f"https://{LINK}", "region": "eu-west-1"},
            "an endpoint in 'us-east-1', and 'region' says 'eu-west-1'",
        ),
        ({"base_url": f"https://{CONTROL}"}, "base_url is an endpoint of 'bedrock'; wanted one of bedrock-runtime or"),
        (
            {"base_url": f"https://{LINK}", "control_plane_url": f"https://{LINK}"},
            "control_plane_url is an endpoint of",
        ),
        ({"base_url": f"https://{LINK}", "control_plane_url": "http://x.example"}, "must begin with https://"),
        ({"control_plane_url": f"https://{CONTROL}"}, "is for an instance with a base_url"),
    ],
)
def test_what_aws_would_refuse_each_time_is_a_fault_of_the_configuration(options, told):
    with pytest.raises(ValidationError, match=told):
        BedrockOptions(**options)
