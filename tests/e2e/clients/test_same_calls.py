"""The same calls of an SDK directly and through us: what the provider receives differs in the allowed headers alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache

import pytest

from llmauth.demo.emulators import Emulators
from llmauth.demo.recorder import Recorded
from tests.e2e.clients import ways
from tests.e2e.clients.sdks import Sdks
from tests.e2e.clients.ways import Way
from tests.e2e.fidelity.comparison import differences
from tests.fixtures.serving import Serving, provider_environment

OPENAI = """
client = openai.OpenAI(max_retries=0, default_headers={"X-Custom": "a  b"})
asked = {"model": "gpt-4o", "messages": [{"role": "user", "content": "r\\xe4ksm\\xf6rg\\xe5s \\u20ac"}]}
list(client.models.list())
client.models.retrieve("gpt-4o")
client.chat.completions.create(**asked, temperature=0.5, extra_headers={"Idempotency-Key": "k-1", "OpenAI-Beta": "x=1"})
list(client.chat.completions.create(**asked, stream=True, extra_query={"a": ["1", "2"], "b": " /;?", "c": ""}))
list(client.responses.create(model="gpt-4o", input="hello", stream=True))
client.embeddings.create(model="text-embedding-3-small", input=["a"] * 500)
client.post("/echo/unheard/of", body={"x": 1}, cast_to=object)
client.delete("/echo/unheard/of", body={"x": 2}, cast_to=object)
"""

ANTHROPIC = """
client = anthropic.Anthropic(max_retries=0)
asked = {"model": "claude-sonnet-4-5", "max_tokens": 100, "messages": [{"role": "user", "content": "hello"}]}
list(client.models.list())
client.messages.create(**asked, extra_headers={"anthropic-beta": "a-1,b-2"})
list(client.messages.create(**asked, stream=True))
client.messages.count_tokens(model=asked["model"], messages=asked["messages"])
client.beta.messages.create(**asked, betas=["context-1m-2025-08-07"])
"""

BEDROCK = """
import json

runtime, control = (boto3.client(name, region_name="us-east-1") for name in ("bedrock-runtime", "bedrock"))
control.list_foundation_models(byProvider="Anthropic", byOutputModality="TEXT")
control.list_inference_profiles(typeEquals="SYSTEM_DEFINED", maxResults=5)
control.get_foundation_model(modelIdentifier="arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-pro-v1:0")
turns = [{"role": "user", "content": [{"text": "hello \\u20ac"}]}]
body = {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 9, "messages": [{"role": "user", "content": "hello"}]}
for model in (
    "anthropic.claude-3-sonnet-20240229-v1:0",
    "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
    "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/a1b2c3d4e5f6",
    "arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-3-sonnet-20240229-v1:0",
):
    runtime.converse(modelId=model, messages=turns)
    list(runtime.converse_stream(modelId=model, messages=turns)["stream"])
    runtime.invoke_model(modelId=model, body=json.dumps(body), accept="application/json")["body"].read()
    list(runtime.invoke_model_with_response_stream(modelId=model, body=json.dumps(body))["body"])
"""

ANTHROPIC_ON_BEDROCK = """
client = anthropic.AnthropicBedrock(aws_region="us-east-1", max_retries=0)
for model in ("anthropic.claude-3-sonnet-20240229-v1:0", "us.anthropic.claude-sonnet-4-5-20250929-v1:0"):
    asked = {"model": model, "max_tokens": 100, "messages": [{"role": "user", "content": "hello"}]}
    client.messages.create(**asked)
    list(client.messages.create(**asked, stream=True))
"""

# Another value in every call, and the tools' own: botocore draws an id for each.
VARYING = (b"amz-sdk-invocation-id",)
# botocore tells in its User-Agent that an endpoint was given.
VARYING_BY_PATH = (*VARYING, b"user-agent")
PLACEHOLDERS: Mapping[str, str] = {
    "OPENAI_API_KEY": "sk-placeholder",
    "ANTHROPIC_API_KEY": "sk-ant-placeholder",
    "AWS_ACCESS_KEY_ID": "ASIAPLACEHOLDER00000",
    "AWS_SECRET_ACCESS_KEY": "placeholder",
    "AWS_SESSION_TOKEN": "placeholder",
}
CALLS = {
    "openai": (OPENAI, 8),
    "anthropic": (ANTHROPIC, 5),
    "boto3": (BEDROCK, 19),
    "anthropic on Bedrock": (ANTHROPIC_ON_BEDROCK, 4),
}
Directly = Callable[[str], tuple[Recorded, ...]]
every_sdk = pytest.mark.parametrize(("code", "count"), CALLS.values(), ids=CALLS)


def arrivals(
    sdks: Sdks, emulators: Emulators, code: str, environ: Mapping[str, str], direct: int | None = None
) -> tuple[Recorded, ...]:
    """What the provider received of these calls."""
    before = len(emulators.requests())
    sdks.run(code, environ, direct_port=direct)
    return emulators.requests()[before:]


@pytest.fixture(scope="module")
def directly(sdks: Sdks, shared_emulators: Emulators) -> Directly:
    """What arrives from somebody who holds the provider's own credentials; each code is run once."""
    ca = str(shared_emulators.ca_file)
    environ = {**provider_environment(shared_emulators), "SSL_CERT_FILE": ca, "AWS_CA_BUNDLE": ca}
    return cache(lambda code: arrivals(sdks, shared_emulators, code, environ, shared_emulators.port))


@every_sdk
@pytest.mark.parametrize("way", [ways.key_in_the_proxy, ways.key_in_the_tls_proxy], ids=["plain proxy", "TLS proxy"])
def test_through_the_proxy(
    gateway: Serving, emulators: Emulators, sdks: Sdks, directly: Directly, code: str, count: int, way: Way
) -> None:
    direct = directly(code)
    via = arrivals(sdks, emulators, code, {**PLACEHOLDERS, **way(gateway)})
    assert (len(direct), len(via)) == (count, count)
    for one, other in zip(direct, via, strict=True):
        assert differences(one, other, varying=VARYING) == []
        assert one.status == other.status == 200


@every_sdk
def test_by_base_url(
    gateway: Serving, emulators: Emulators, sdks: Sdks, directly: Directly, code: str, count: int
) -> None:
    """The key stands in the SDK's own slot, for boto3 in a bearer token, over TLS.

    Anthropic's Bedrock client writes other headers beside a bearer token; with a header for our key it signs as always.
    """
    key = gateway.key()
    signed = {**PLACEHOLDERS, "ANTHROPIC_CUSTOM_HEADERS": f"X-API-Key: {key}"}
    bedrock = ways.secure(gateway, "/transparent/bedrock")
    environ = {
        "OPENAI_BASE_URL": ways.plain(gateway, "/transparent/openai/v1"),
        "OPENAI_API_KEY": key,
        "ANTHROPIC_BASE_URL": ways.plain(gateway, "/transparent/anthropic"),
        "ANTHROPIC_API_KEY": key,
        "ANTHROPIC_BEDROCK_BASE_URL": bedrock,
        "AWS_ENDPOINT_URL": bedrock,
        **(signed if code is ANTHROPIC_ON_BEDROCK else {"AWS_BEARER_TOKEN_BEDROCK": key}),
        **ways.trust(gateway),
    }
    direct = directly(code)
    via = arrivals(sdks, emulators, code, environ)
    assert (len(direct), len(via)) == (count, count)
    for one, other in zip(direct, via, strict=True):
        assert differences(one, other, by_path=True, varying=VARYING_BY_PATH) == []
        assert one.status == other.status == 200
