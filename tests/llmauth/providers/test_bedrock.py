"""Bedrock's handler: two planes, two ways to sign, and refusals that only a header tells apart."""

import json
import time
from base64 import b64decode
from urllib.parse import quote

import pytest
from botocore.config import Config
from botocore.session import get_session

from llmauth.addresses import HostPort
from llmauth.clock import ManualClock
from llmauth.codecs.embeddings.cohere import CohereEmbeddings
from llmauth.codecs.embeddings.request import EmbeddingRequest
from llmauth.codecs.embeddings.titan import TitanEmbeddings
from llmauth.errors import InternalError, UnsupportedParameter, UpstreamError
from llmauth.http import Door, Headers, Request, Url
from llmauth.providers.base import Verdict
from llmauth.providers.bedrock import BedrockHandler, BedrockOptions
from llmauth.providers.named import Call
from llmauth.secrets import ApiKey, AwsKeys, BearerToken, Secret

RUNTIME = "bedrock-runtime.eu-west-1.amazonaws.com"
HANDLER = BedrockHandler("eu", BedrockOptions(region="eu-west-1"), ManualClock(wall=1_800_000_000.0))
KEYS = AwsKeys(access_key_id="AKIDEXAMPLE", secret_access_key=Secret("hidden"), session_token=Secret("session"))


def request_to(host=RUNTIME, path="/model/x/converse"):
    return Request(method="POST", url=Url("https", host, 443, path), headers=Headers(), door=Door.TUNNEL, body=b"{}")


@pytest.mark.parametrize("region", ["us-east-1", "eu-west-1", "us-gov-west-1", "cn-north-1", "eusc-de-east-1"])
@pytest.mark.parametrize("service", ["bedrock-runtime", "bedrock"])
@pytest.mark.parametrize("fips", [False, True])
@pytest.mark.parametrize("dual_stack", [False, True])
def test_every_endpoint_that_botocore_would_call_is_ours(region, service, fips, dual_stack):
    config = Config(use_fips_endpoint=fips, use_dualstack_endpoint=dual_stack)
    keys = {"aws_access_key_id": "a", "aws_secret_access_key": "b"}
    client = get_session().create_client(service, region_name=region, config=config, **keys)
    host = client.meta.endpoint_url.removeprefix("https://")
    assert BedrockHandler("x", BedrockOptions(region=region)).owns(HostPort(host, 443))


def operations(service):
    model = get_session().get_service_model(service)
    return [model.operation_model(name).http for name in model.operation_names]


def test_every_operation_of_both_planes_is_sent_to_the_right_one():
    for service, host in (("bedrock-runtime", RUNTIME), ("bedrock", "bedrock.eu-west-1.amazonaws.com")):
        found = operations(service)
        assert len(found) > 8
        for http in found:
            path = http["requestUri"].replace("{", "").replace("}", "").replace("+", "")
            assert HANDLER.forward(path, http["method"]) == Url("https", host, 443, path), path


def test_the_openai_paths_of_the_runtime_and_queries():
    assert HANDLER.forward("/openai/v1/chat/completions", "POST").host == RUNTIME
    assert HANDLER.forward("/foundation-models?byProvider=x", "GET").host == "bedrock.eu-west-1.amazonaws.com"
    assert HANDLER.forward("/model/arn%3Aaws%2Fx/converse", "POST").path == "/model/arn%3Aaws%2Fx/converse"


def test_a_vpc_endpoint_takes_every_call_and_is_signed_for_the_configured_region():
    base_url = "https://vpce-1.bedrock-runtime.eu-west-1.vpce.amazonaws.com"
    handler = BedrockHandler("vpc", BedrockOptions(region="eu-west-1", base_url=base_url))
    url = handler.forward("/foundation-models", "GET")
    assert url.host == RUNTIME
    assert handler.hosts == {HostPort("vpce-1.bedrock-runtime.eu-west-1.vpce.amazonaws.com", 443), url.origin}
    signed = handler.authorize(request_to(host=url.host), KEYS)
    assert "/eu-west-1/bedrock/aws4_request" in (signed.headers.get("authorization") or "")


@pytest.mark.parametrize(
    ("host", "scope"),
    [
        (RUNTIME, "20270115/eu-west-1/bedrock/aws4_request"),
        ("bedrock.eu-west-1.amazonaws.com", "20270115/eu-west-1/bedrock/aws4_request"),
        ("bedrock-mantle.eu-west-1.api.aws", "20270115/eu-west-1/bedrock-mantle/aws4_request"),
    ],
)
def test_aws_keys_sign_for_the_service_that_is_called(host, scope):
    signed = HANDLER.authorize(request_to(host), KEYS)
    assert signed.headers.get("authorization").startswith(f"AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/{scope}, ")
    assert signed.headers.all("x-amz-security-token") == ["session"]
    assert signed.headers.all("host") == [host]


@pytest.mark.parametrize("kind", [ApiKey, BearerToken])
def test_a_bedrock_api_key_is_sent_and_nothing_is_signed(kind):
    signed = HANDLER.authorize(request_to(), kind(value=Secret("ABSK-key")))
    assert signed.headers.all("authorization") == ["Bearer ABSK-key"]
    assert "x-amz-date" not in signed.headers


def test_s1_another_region_is_another_place():
    with pytest.raises(InternalError, match="does not serve"):
        HANDLER.authorize(request_to("bedrock-runtime.us-east-1.amazonaws.com"), KEYS)


@pytest.mark.parametrize(
    "region", ["", "us-east-1.evil.example/", "us_east", "US-EAST-1", "-", "us-east-1\n", "a" * 50, "x."]
)
def test_s7_a_region_becomes_part_of_a_host_and_is_held_to_its_letters(region):
    with pytest.raises(ValueError, match="region"):
        BedrockOptions(region=region)


@pytest.mark.parametrize(
    ("path", "model"),
    [
        ("/model/anthropic.claude-v2%3A1/converse", "anthropic.claude-v2:1"),
        ("/model/anthropic.claude-v2:1/invoke-with-response-stream", "anthropic.claude-v2:1"),
        ("/model/arn%3Aaws%3Abedrock%3A%3A1%3Aprompt%2Fabc/converse-stream", "arn:aws:bedrock::1:prompt/abc"),
        ("/model/arn:aws:bedrock::1:prompt/abc/converse?x=1", "arn:aws:bedrock::1:prompt/abc"),
        ("/transparent/bedrock/model/x/invoke", "x"),
        ("/foundation-models", None),
        ("/model/x", None),
    ],
)
def test_the_model_stands_in_the_path(path, model):
    assert HANDLER.named(Call(method="POST", path=path)).model == model


@pytest.mark.parametrize(
    ("path", "body", "model", "certain"),
    [
        ("/model/a.b/invoke", b'{"max_tokens":1}', "a.b", True),
        ("/openai/v1/chat/completions", b'{"model":"m"}', "m", True),
        ("/v1/chat/completions", b'{"model":"m"}', "m", True),
        ("/anthropic/v1/messages", b'{"model":"m"}', "m", True),
        ("/async-invoke", b'{"modelId":"m","modelInput":{}}', "m", True),
        ("/async-invoke", b'{"model":"m","modelInput":{}}', None, False),
        ("/inference-profiles", b'{"modelId":"m","modelSource":{"copyFrom":"e"}}', "m", False),
        ("/%6dodel/a.b/invoke", b'{"modelId":"m","model":"m"}', "m", False),
        ("/model/a.b/invoke", b"{", "a.b", False),
    ],
)
def test_h6_it_stands_in_the_body_of_others_apis_and_jobs(path, body, model, certain):
    told = HANDLER.named(Call(method="POST", path=path, body=body))
    assert (told.model, told.certain) == (model, certain)


def test_a_second_model_in_a_body_is_named_beside():
    body = b'{"tools":[{"type":"advisor","model":"e"}]}'
    assert HANDLER.named(Call(method="POST", path="/model/a.b/invoke", body=body)).others == ("e",)


def test_a_path_that_names_models_again_and_again_is_read_once():
    """B2: it is read on the event loop, where a quarter of a second would be everybody's."""
    request = Call(method="POST", path="/model/" * 2300 + "!")
    began = time.perf_counter()
    assert HANDLER.named(request).model is None
    assert time.perf_counter() - began < 0.05


@pytest.mark.parametrize(
    ("status", "name", "verdict"),
    [
        (403, "ExpiredTokenException", Verdict.EXPIRED),
        (403, "ExpiredTokenException:http://internal.amazon.com/coral/", Verdict.EXPIRED),
        (403, "com.amazon.coral.service#UnrecognizedClientException", Verdict.EXPIRED),
        (403, "RequestTimeTooSkewed", Verdict.EXPIRED),
        (401, "ExpiredToken", Verdict.EXPIRED),
        (403, "InvalidSignatureException", Verdict.REJECTED),
        (403, "MissingAuthenticationTokenException", Verdict.REJECTED),
        (401, "Whatever", Verdict.REJECTED),
        (401, None, Verdict.REJECTED),
        (403, "AccessDeniedException", Verdict.PASSES),
        (403, None, Verdict.PASSES),
        (400, "ExpiredTokenException", Verdict.PASSES),
        (429, "ThrottlingException", Verdict.PASSES),
        (200, None, Verdict.PASSES),
    ],
)
def test_only_the_name_tells_a_bad_signature_from_a_missing_permission(status, name, verdict):
    headers = Headers([(b"X-Amzn-ErrorType", name.encode())] if name else [])
    assert HANDLER.verdict(status, headers) is verdict


@pytest.mark.parametrize(
    ("model", "kind", "sized"),
    [
        ("amazon.titan-embed-text-v2:0", TitanEmbeddings, True),
        ("amazon.titan-embed-text-v1", TitanEmbeddings, False),
        ("amazon.titan-embed-g1-text-02", TitanEmbeddings, False),
        ("cohere.embed-english-v3", CohereEmbeddings, False),
        ("us.cohere.embed-v4:0", CohereEmbeddings, True),
        ("arn:aws:bedrock:us-east-1::foundation-model/amazon.titan-embed-text-v2:0", TitanEmbeddings, True),
    ],
)
def test_models_that_embed_are_asked_by_invoke(model, kind, sized):
    way = HANDLER.embeddings(model)
    assert way.path == f"/model/{quote(model, safe='')}/invoke"
    assert isinstance(way.format, kind)
    request = EmbeddingRequest(model=model, inputs=("a",), dimensions=256)
    if sized:
        assert b"256" in way.format.render(request)[0].body
    else:
        with pytest.raises(UnsupportedParameter):
            way.format.render(request)


@pytest.mark.parametrize("model", ["amazon.nova-pro-v1:0", "xcohere.embed-v4:0", "amazon.titan-embed-image-v1", ""])
def test_other_models_do_not_embed(model):
    assert HANDLER.embeddings(model) is None


def test_tokens_are_counted_for_the_model_behind_a_profile_with_the_clients_own_body():
    native = HANDLER.natively("count_tokens", "us.anthropic.claude-sonnet-4-5-20250929-v1:0", stream=False)
    assert native.path == "/model/anthropic.claude-sonnet-4-5-20250929-v1%3A0/count-tokens"
    asked = b'{"model":"claude","messages":[{"role":"user","content":"hi"}]}'
    betas = Headers([(b"anthropic-beta", b"context-1m-2025-08-07, unheard-of-2020-01-01")])
    inner = json.loads(b64decode(json.loads(native.rewrite(asked, betas))["input"]["invokeModel"]["body"]))
    assert inner == {
        "anthropic_version": "bedrock-2023-05-31",
        "anthropic_beta": ["context-1m-2025-08-07"],
        "max_tokens": 1,
        "messages": [{"role": "user", "content": "hi"}],
    }
    assert native.reads is not None
    assert native.reads(asked).said(200, Headers(), b'{"inputTokens":5}').body == b'{"input_tokens":5}'
    assert HANDLER.natively("count_tokens", "amazon.nova-pro-v1:0", stream=False) is None


@pytest.mark.parametrize(
    ("operation", "model"), [("messages", "anthropic.claude-opus-4-1"), ("chat", "openai.gpt-oss-120b-1:0")]
)
def test_what_answers_in_the_clients_words_refuses_in_those_of_aws(operation, model):
    native = HANDLER.natively(operation, model, stream=False)
    assert native is not None
    assert native.refused is not None
    named = Headers([(b"x-amzn-errortype", b"ThrottlingException:http://x/")])
    error = native.refused(429, named, b'{"message":"Too many requests."}')
    assert isinstance(error, UpstreamError)
    assert (error.cause, "Too many requests." in error.message) == ("rate_limited", True)


def test_the_endpoint_of_openais_refuses_in_openais_words():
    native = HANDLER.natively("chat", "openai.gpt-oss-120b-1:0", stream=False)
    assert native is not None
    assert native.refused is not None
    body = b'{"error":{"message":"too long","type":"invalid_request_error","code":"context_length_exceeded"}}'
    error = native.refused(400, Headers(), body)
    assert (error.code, "too long" in error.message) == ("context_length_exceeded", True)
