"""boto3 against the emulated Bedrock: what proves a caller, what is refused, and the control plane."""

from __future__ import annotations

from dataclasses import replace
from textwrap import dedent
from typing import Any

import botocore.auth
import botocore.awsrequest
import botocore.credentials
import pytest

from llmauth.demo import bedrock
from llmauth.demo.behaviour import Behaviour
from llmauth.demo.emulator import PAUSE
from llmauth.demo.emulators import Emulators
from tests.llmauth.demo.clients import ClientProblem, Clients
from tests.llmauth.demo.wire import Reply, call

REGION = "us-east-1"
RUNTIME = f"bedrock-runtime.{REGION}.amazonaws.com"
CONTROL = f"bedrock.{REGION}.amazonaws.com"
SONNET = "anthropic.claude-3-sonnet-20240229-v1:0"
PROFILE = f"arn:aws:bedrock:{REGION}:123456789012:application-inference-profile/abc123"

CLIENT = """
import boto3
keys = {"aws_access_key_id": key_id, "aws_secret_access_key": secret, "aws_session_token": token}
session = boto3.Session(region_name=region, **keys)
runtime, control = session.client("bedrock-runtime"), session.client("bedrock")
hello = [{"role": "user", "content": [{"text": "hello"}]}]
"""


def sdk(clients: Clients, emulators: Emulators, code: str, **names: Any) -> Any:
    good = emulators.credentials
    keys = {"key_id": good.aws_access_key_id, "secret": good.aws_secret_access_key, "token": good.aws_session_token}
    return clients.run(emulators, CLIENT + dedent(code), **{"region": REGION, **keys, **names})


def signed(
    emulators: Emulators, method: str, host: str, target: str, body: bytes = b"", region: str = REGION, **fields: str
) -> dict[str, str]:
    """The headers of a request signed by botocore."""
    good = emulators.credentials
    keys = botocore.credentials.Credentials(good.aws_access_key_id, good.aws_secret_access_key, good.aws_session_token)
    headers = {name.replace("_", "-"): value for name, value in fields.items()}
    request = botocore.awsrequest.AWSRequest(method, f"https://{host}{target}", headers, body)
    botocore.auth.SigV4Auth(keys, "bedrock", region).add_auth(request)
    return dict(request.headers.items())


def ask(emulators: Emulators, method: str, host: str, target: str, body: bytes = b"", **fields: str) -> Reply:
    headers = signed(emulators, method, host, target, body, **{"content_type": "application/json", **fields})
    return call(emulators, host, method, target, headers, body)


def refusal(reply: Reply) -> tuple[int, str | None]:
    return reply.status, reply.header("x-amzn-errortype")


CONVERSE = "runtime.converse(modelId=model, messages=hello)"


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"secret": "wrong"}, "InvalidSignatureException"),
        ({"key_id": "AKIAWRONGWRONGWRONG0"}, "UnrecognizedClientException"),
        ({"token": None}, "UnrecognizedClientException"),
        ({"token": "wrong"}, "UnrecognizedClientException"),
    ],
)
def test_wrong_keys_are_refused(clients: Clients, emulators: Emulators, changes: dict[str, Any], error: str) -> None:
    with pytest.raises(ClientProblem, match=error) as caught:
        sdk(clients, emulators, CONVERSE, model=SONNET, **changes)
    assert caught.value.status == 403


def test_long_lived_keys_need_no_token(clients: Clients, emulators: Emulators) -> None:
    emulators.credentials = replace(emulators.credentials, aws_session_token=None)
    code = "result = runtime.converse(modelId=model, messages=hello)['stopReason']"
    assert sdk(clients, emulators, code, model=SONNET) == "end_turn"


def test_a_signature_for_another_region_is_refused(emulators: Emulators) -> None:
    headers = signed(emulators, "GET", CONTROL, "/foundation-models", region="eu-west-1")
    assert refusal(call(emulators, CONTROL, "GET", "/foundation-models", headers)) == (403, "InvalidSignatureException")


@pytest.mark.parametrize("target", ["/model/a.b/invoke", "/model/anthropic.claude-opus-4-8/converse"])
def test_a_changed_body_is_refused(emulators: Emulators, target: str) -> None:
    headers = signed(emulators, "POST", RUNTIME, target, b'{"a":1}')
    assert refusal(call(emulators, RUNTIME, "POST", target, headers, b'{"a":2}')) == (403, "InvalidSignatureException")


def test_a_changed_path_is_refused(emulators: Emulators) -> None:
    headers = signed(emulators, "GET", CONTROL, "/foundation-models/x%3A0")
    assert refusal(call(emulators, CONTROL, "GET", "/foundation-models/x:0", headers))[0] == 403


def test_no_signature_at_all_is_refused(emulators: Emulators) -> None:
    reply = call(emulators, RUNTIME, "POST", f"/model/{SONNET}/converse", {"Content-Type": "application/json"}, b"{}")
    assert refusal(reply) == (403, "MissingAuthenticationTokenException")
    assert reply.header("x-amzn-requestid")


def test_a_bedrock_api_key_is_taken(clients: Clients, emulators: Emulators) -> None:
    code = """
    import os
    os.environ["AWS_BEARER_TOKEN_BEDROCK"] = key
    try:
        runtime = boto3.Session(region_name=region).client("bedrock-runtime")
        result = runtime.converse(modelId=model, messages=hello)["stopReason"]
    finally:
        del os.environ["AWS_BEARER_TOKEN_BEDROCK"]
    """
    key = emulators.credentials.bedrock_api_key
    assert sdk(clients, emulators, code, model=SONNET, key=key) == "end_turn"
    assert emulators.requests(RUNTIME)[0].values("authorization") == [f"Bearer {key}".encode()]
    with pytest.raises(ClientProblem, match="AccessDeniedException"):
        sdk(clients, emulators, code, model=SONNET, key="ABSKwrong")


def test_leftovers_of_a_signature_beside_an_api_key_are_refused(emulators: Emulators) -> None:
    headers = {"Authorization": f"Bearer {emulators.credentials.bedrock_api_key}", "X-Amz-Security-Token": "left"}
    reply = call(emulators, CONTROL, "GET", "/foundation-models", headers)
    assert reply.status == 400
    assert "x-amz-security-token" in reply.json()["message"]


def test_a_clients_leftover_is_refused_even_when_it_is_signed(emulators: Emulators) -> None:
    reply = ask(emulators, "GET", CONTROL, "/foundation-models", x_api_key="left")
    assert reply.status == 400
    assert "x-api-key" in reply.json()["message"]


@pytest.mark.parametrize(
    ("model", "wire"),
    [
        (SONNET, SONNET.replace(":", "%3A")),
        ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", "us.anthropic.claude-sonnet-4-5-20250929-v1%3A0"),
        (PROFILE, PROFILE.replace(":", "%3A").replace("/", "%2F")),
    ],
)
def test_model_ids_and_arns_arrive_as_they_stand_on_the_wire(
    clients: Clients, emulators: Emulators, model: str, wire: str
) -> None:
    code = "result = runtime.converse(modelId=model, messages=hello)['ResponseMetadata']['HTTPHeaders']"
    headers = sdk(clients, emulators, code, model=model)
    assert headers["x-emulated-model-id"] == wire
    assert emulators.requests(RUNTIME)[0].target == f"/model/{wire}/converse".encode()


@pytest.mark.parametrize("segment", [SONNET, SONNET.replace(":", "%3A"), SONNET.replace(":", "%3a")])
def test_a_colon_may_be_raw_or_encoded(emulators: Emulators, segment: str) -> None:
    body = b'{"messages":[{"role":"user","content":[{"text":"hello"}]}]}'
    reply = ask(emulators, "POST", RUNTIME, f"/model/{segment}/converse", body)
    assert (reply.status, reply.header("x-emulated-model-id")) == (200, segment)


def test_an_arn_with_a_raw_slash_is_no_operation(emulators: Emulators) -> None:
    reply = ask(emulators, "POST", RUNTIME, f"/model/{PROFILE}/converse", b"{}")
    assert refusal(reply) == (404, "UnknownOperationException")


def test_a_model_of_another_geography_is_refused(clients: Clients, emulators: Emulators) -> None:
    with pytest.raises(ClientProblem, match="not served from us-east-1"):
        sdk(clients, emulators, CONVERSE, model="eu.anthropic.claude-opus-4-8")


@pytest.mark.parametrize("body", [b"", b"[]", b"{"])
def test_a_body_that_is_no_object_is_refused(emulators: Emulators, body: bytes) -> None:
    reply = ask(emulators, "POST", RUNTIME, f"/model/{SONNET}/converse", body)
    assert refusal(reply) == (400, "SerializationException")


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (408, "ModelTimeoutException"),
        (424, "ModelErrorException"),
        (429, "ThrottlingException"),
        (503, "ServiceUnavailableException"),
    ],
)
def test_fails_as_bedrock_fails_when_told_to(clients: Clients, emulators: Emulators, status: int, error: str) -> None:
    emulators.behave(RUNTIME, Behaviour(status=status))
    with pytest.raises(ClientProblem, match=error) as caught:
        sdk(clients, emulators, CONVERSE, model=SONNET)
    assert caught.value.status == status


def test_an_error_may_be_named(clients: Clients, emulators: Emulators) -> None:
    emulators.behave(RUNTIME, Behaviour(status=403, error="ExpiredTokenException"))
    with pytest.raises(ClientProblem, match="ExpiredTokenException"):
        sdk(clients, emulators, CONVERSE, model=SONNET)


def test_the_control_plane_lists_what_the_filters_ask_for(clients: Clients, emulators: Emulators) -> None:
    code = """
    def ids(**wanted):
        return [model["modelId"] for model in control.list_foundation_models(**wanted)["modelSummaries"]]
    result = [ids(), ids(byProvider="anthropic"), ids(byOutputModality="EMBEDDING"), ids(byInferenceType="ON_DEMAND")]
    """
    everything, anthropic, embeddings, on_demand = sdk(clients, emulators, code)
    assert SONNET in everything
    assert {model.partition(".")[0] for model in anthropic} == {"anthropic"}
    assert embeddings == ["amazon.titan-embed-text-v2:0"]
    assert set(on_demand) < set(everything)


def test_the_control_plane_tells_of_one_model_and_of_profiles(clients: Clients, emulators: Emulators) -> None:
    code = """
    one = control.get_foundation_model(modelIdentifier=model)["modelDetails"]["modelArn"]
    profiles = control.list_inference_profiles(typeEquals="SYSTEM_DEFINED")["inferenceProfileSummaries"]
    own = control.list_inference_profiles(typeEquals="APPLICATION")["inferenceProfileSummaries"]
    result = [one, [profile["inferenceProfileId"] for profile in profiles], own]
    """
    arn, profiles, own = sdk(clients, emulators, code, model=SONNET, region="eu-west-1")
    assert arn == f"arn:aws:bedrock:eu-west-1::foundation-model/{SONNET}"
    assert {profile.partition(".claude")[0] for profile in profiles} == {"eu.anthropic"}
    assert own == []


@pytest.mark.parametrize(
    ("method", "target", "error"),
    [
        ("GET", "/foundation-models/nobody.nothing", "ResourceNotFoundException"),
        ("GET", "/nothing", "UnknownOperationException"),
        ("POST", "/foundation-models", "UnknownOperationException"),
        ("GET", "/foundation-models?unheardOf=1", "ValidationException"),
    ],
)
def test_what_the_control_plane_does_not_have(emulators: Emulators, method: str, target: str, error: str) -> None:
    assert ask(emulators, method, CONTROL, target).header("x-amzn-errortype") == error


@pytest.mark.parametrize("host", [RUNTIME, CONTROL])
def test_echo_gives_the_bytes_back_behind_a_signature(emulators: Emulators, host: str) -> None:
    body = bytes(range(256))
    reply = ask(emulators, "PUT", host, "/echo/a%2Fb?x=1", body, content_type="application/x-unheard-of")
    assert (reply.body, reply.header("content-type")) == (body, "application/x-unheard-of")
    assert call(emulators, host, "PUT", "/echo/a", {}, body).status == 403


def test_frames_are_cut_at_odd_offsets_and_nothing_is_lost() -> None:
    frames = [b"aaaa", PAUSE, b"bbbbbbbb", PAUSE, b"cc"]
    pieces = list(bedrock.unaligned(iter(frames)))
    assert pieces == [b"aaaa", PAUSE, b"bbbbb", b"bbb", PAUSE, b"cc"]
