"""boto3 and the anthropic SDK's Bedrock client, both planes, on every way, whole and streamed; and re-signed by us."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

import pytest

from llmauth.demo.behaviour import Behaviour
from llmauth.demo.emulators import Emulators
from tests.e2e.clients import ways
from tests.e2e.clients.sdks import Sdks
from tests.e2e.clients.ways import Way
from tests.fixtures.serving import Serving

SONNET = "anthropic.claude-3-sonnet-20240229-v1:0"
PROFILE = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/a1b2c3d4e5f6"
RUNTIME, CONTROL = "bedrock-runtime.us-east-1.amazonaws.com", "bedrock.us-east-1.amazonaws.com"
DUMMY_ID = "AKIAPLACEHOLDER00000"
DUMMY: Mapping[str, str] = {"AWS_ACCESS_KEY_ID": DUMMY_ID, "AWS_SECRET_ACCESS_KEY": "placeholder"}
SAYS = "Hello from the emulated"

CLIENTS = """
import json

def add_key(request, **_):
    request.headers["X-API-Key"] = key_header

def client(service):
    made = boto3.client(service, region_name=region)
    if key_header:
        made.meta.events.register("before-sign." + service, add_key)
    return made

runtime, control = client("bedrock-runtime"), client("bedrock")
"""

CALLS = """
said = {}
body = json.dumps(
    {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 100, "messages": [{"role": "user", "content": "hello"}]}
)
turns = [{"role": "user", "content": [{"text": "hello"}]}]
said["models"] = [model["modelId"] for model in control.list_foundation_models()["modelSummaries"]]
said["profiles"] = len(control.list_inference_profiles(typeEquals="SYSTEM_DEFINED")["inferenceProfileSummaries"])
for model in models:
    whole = runtime.converse(modelId=model, messages=turns)["output"]["message"]["content"][0]["text"]
    events = runtime.converse_stream(modelId=model, messages=turns)["stream"]
    streamed = "".join(e["contentBlockDelta"]["delta"]["text"] for e in events if "contentBlockDelta" in e)
    invoked = json.loads(runtime.invoke_model(modelId=model, body=body)["body"].read())["content"][0]["text"]
    chunks = runtime.invoke_model_with_response_stream(modelId=model, body=body)["body"]
    events = [json.loads(event["chunk"]["bytes"]) for event in chunks]
    pieces = "".join(e["delta"]["text"] for e in events if e["type"] == "content_block_delta")
    said[model] = [whole, streamed, invoked, pieces]
result = said
"""


def endpoints(runtime: str, control: str | None = None) -> dict[str, str]:
    """The variables of a base URL for both planes."""
    return {"AWS_ENDPOINT_URL_BEDROCK_RUNTIME": runtime, "AWS_ENDPOINT_URL_BEDROCK": control or runtime}


# What stands in a variable of this name is sent as a header, by an event handler as the SDK's users write one.
KEY_HEADER = "X_API_KEY"
WAYS: dict[str, Way] = {
    "key in the proxy URL": lambda g: {**ways.key_in_the_proxy(g), **DUMMY},
    "session keys as a placeholder": lambda g: {
        **ways.key_in_the_proxy(g),
        **DUMMY,
        "AWS_SESSION_TOKEN": "placeholder",
    },
    "bearer placeholder": lambda g: {**ways.key_in_the_proxy(g), "AWS_BEARER_TOKEN_BEDROCK": "placeholder"},
    "key as the bearer token": lambda g: {**ways.key_in_the_sdk(g), "AWS_BEARER_TOKEN_BEDROCK": g.key()},
    "proxy over TLS": lambda g: {**ways.key_in_the_tls_proxy(g), **DUMMY},
    "base URL with a header": lambda g: {
        **endpoints(ways.plain(g, "/transparent/bedrock")),
        **DUMMY,
        KEY_HEADER: g.key(),
    },
    "base URL over TLS with a header": lambda g: {
        **endpoints(ways.secure(g, "/transparent/bedrock_us1")),
        **ways.trust(g),
        **DUMMY,
        KEY_HEADER: g.key(),
    },
    "base URL over TLS with the bearer token": lambda g: {
        **endpoints(ways.secure(g, "/transparent/bedrock")),
        **ways.trust(g),
        "AWS_BEARER_TOKEN_BEDROCK": g.key(),
    },
}


def call(sdks: Sdks, environ: Mapping[str, str], code: str = CALLS, region: str = "us-east-1", **names: Any) -> Any:
    """What the code says, with a runtime and a control-plane client of that region."""
    given = {"models": [SONNET, PROFILE], "key_header": environ.get(KEY_HEADER), **names}
    return sdks.run(CLIENTS + code, environ, region=region, **given)


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_boto3_is_answered(gateway: Serving, emulators: Emulators, sdks: Sdks, way: Way) -> None:
    """A plain model id and an ARN, whose colons and slash boto3 encodes; the emulator verified every signature."""
    said = call(sdks, way(gateway))
    assert SONNET in said["models"]
    assert said["profiles"] > 0
    for model in (SONNET, PROFILE):
        whole, streamed, invoked, pieces = said[model]
        assert whole.startswith(SAYS)
        assert invoked.startswith(SAYS)
        assert (streamed, pieces) == (whole, invoked)
    assert {one.host for one in emulators.requests()} == {RUNTIME, CONTROL}
    targets = {one.target for one in emulators.requests(RUNTIME)}
    assert b"/model/anthropic.claude-3-sonnet-20240229-v1%3A0/converse" in targets
    assert (
        b"/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3Aapplication-inference-profile%2Fa1b2c3d4e5f6/invoke"
        in targets
    )
    for seen in emulators.requests():
        (authorization,) = seen.values("authorization")
        assert emulators.credentials.aws_access_key_id.encode() in authorization
        assert gateway.key().encode() not in seen.head
        assert b"placeholder" not in seen.head.lower()


@pytest.mark.parametrize(
    "way",
    [
        lambda g: {**ways.key_in_the_proxy(g), **DUMMY},
        lambda g: {**endpoints(ways.plain(g, "/transparent/bedrock_eu1")), **DUMMY, KEY_HEADER: g.key()},
    ],
    ids=["by native host", "by path"],
)
def test_the_region_is_the_instances(gateway: Serving, emulators: Emulators, sdks: Sdks, way: Way) -> None:
    """Another region is another instance, another host and another scope of the signature."""
    call(sdks, way(gateway), region="eu-west-1", models=[SONNET])
    assert {one.host.split(".")[1] for one in emulators.requests()} == {"eu-west-1"}
    assert all(b"/eu-west-1/bedrock/aws4_request" in one.values("authorization")[0] for one in emulators.requests())


ANTHROPIC = """
import asyncio

asked = {"model": model, "max_tokens": 1024, "messages": [{"role": "user", "content": "hello"}]}
client = anthropic.AnthropicBedrock(aws_region="us-east-1", max_retries=0)
with client.messages.stream(**asked) as stream:
    streamed = "".join(stream.text_stream)

async def call():
    async with anthropic.AsyncAnthropicBedrock(aws_region="us-east-1", max_retries=0) as client:
        return (await client.messages.create(**asked)).content[0].text

result = [client.messages.create(**asked).content[0].text, streamed, asyncio.run(call())]
"""


@pytest.mark.parametrize(
    "way",
    [
        lambda g: {**ways.key_in_the_proxy(g), **DUMMY},
        lambda g: {**ways.key_in_the_sdk(g), "AWS_BEARER_TOKEN_BEDROCK": g.key()},
        lambda g: {
            "ANTHROPIC_BEDROCK_BASE_URL": ways.plain(g, "/transparent/bedrock"),
            "ANTHROPIC_CUSTOM_HEADERS": f"X-API-Key: {g.key()}",
            **DUMMY,
        },
    ],
    ids=["key in the proxy URL", "key as the bearer token", "base URL with a header"],
)
def test_anthropics_bedrock_client_is_answered(gateway: Serving, emulators: Emulators, sdks: Sdks, way: Way) -> None:
    """It signs for itself, and sends the colon of a model id as it is."""
    whole, streamed, later = sdks.run(ANTHROPIC, way(gateway), model=SONNET)
    assert whole == streamed == later
    assert whole.startswith(SAYS)
    assert emulators.requests(RUNTIME)[0].target == f"/model/{SONNET}/invoke-with-response-stream".encode()


def test_boto3_is_told_what_a_throttled_provider_says(gateway: Serving, emulators: Emulators, sdks: Sdks) -> None:
    """The SDK's own retries work through us: it asks again, and the second answer is good."""
    emulators.behave(RUNTIME, Behaviour(status=429))
    code = """
turns = [{"role": "user", "content": [{"text": "hello"}]}]
result = runtime.converse(modelId=models[0], messages=turns)["ResponseMetadata"]["RetryAttempts"]
"""
    assert call(sdks, WAYS["key in the proxy URL"](gateway), code) == 1
    assert [one.status for one in emulators.requests()] == [429, 200]


def test_a_tool_call_and_an_image_survive(gateway: Serving, emulators: Emulators, sdks: Sdks) -> None:
    code = """
schema = {"type": "object", "properties": {"city": {"type": "string"}}}
tool = {"toolSpec": {"name": "weather", "inputSchema": {"json": schema}}}
image = {"image": {"format": "png", "source": {"bytes": bytes(range(256)) * 40}}}
turns = [{"role": "user", "content": [{"text": "hello"}, image]}]
answer = runtime.converse(modelId=models[0], messages=turns, toolConfig={"tools": [tool]})
result = answer["stopReason"]
"""
    emulators.behave(RUNTIME, Behaviour(call_tool=True))
    assert call(sdks, WAYS["key in the proxy URL"](gateway), code) == "tool_use"
    sent = json.loads(emulators.requests()[0].body)["messages"][0]["content"][1]["image"]["source"]["bytes"]
    assert base64.b64decode(sent) == bytes(range(256)) * 40
