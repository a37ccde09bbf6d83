"""The emulated Generative AI service of Oracle: strict where Oracle is, read by the official SDK."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from llmauth.demo.behaviour import Behaviour
from llmauth.demo.credentials import DemoCredentials
from llmauth.demo.emulators import Emulators
from llmauth.http import Door, Headers, Request, Url
from llmauth.secrets import OciKey, Secret
from llmauth.signing import oci
from tests.llmauth.demo.wire import Reply, call

INFERENCE = "inference.generativeai.us-chicago-1.oci.oraclecloud.com"
MANAGEMENT = "generativeai.us-chicago-1.oci.oraclecloud.com"
COMPARTMENT = "ocid1.compartment.oc1..aaaa"
CHAT = "/20231130/actions/chat"
OPENAI = "/openai/v1/chat/completions"
HELLO = {"apiFormat": "GENERIC", "messages": [{"role": "USER", "content": [{"type": "TEXT", "text": "hello"}]}]}


def envelope(request: dict[str, Any] | None = None, model: str = "meta.llama-3.3-70b-instruct") -> dict[str, Any]:
    serving = {"servingType": "ON_DEMAND", "modelId": model}
    return {"compartmentId": COMPARTMENT, "servingMode": serving, "chatRequest": HELLO if request is None else request}


def ask(
    emulators: Emulators,
    body: dict[str, Any] | None,
    path: str = CHAT,
    host: str = INFERENCE,
    *,
    now: float = 0.0,
    more: dict[str, str] | None = None,
) -> Reply:
    """A signed request, and its answer."""
    identity = emulators.credentials.oci
    method = "GET" if body is None else "POST"
    text = b"" if body is None else json.dumps(body).encode()
    request = Request(
        method=method,
        url=Url("https", host, 443, path),
        headers=Headers([(b"Content-Type", b"application/json")] if text else []),
        door=Door.TUNNEL,
        body=text,
    )
    key = OciKey(key_id=Secret(identity.key_id), private_key=Secret(identity.private_key))
    signed = oci.sign(request, key, now=now or time.time())
    own = ("host", "content-length")
    headers = {n.decode(): v.decode() for n, v in signed.headers.fields if n.decode().lower() not in own}
    return call(emulators, host, method, path, headers | (more or {}), text)


def code(reply: Reply) -> tuple[int, str]:
    assert reply.header("opc-request-id")
    assert reply.json()["message"]
    return reply.status, reply.json()["code"]


@pytest.mark.parametrize("host", [INFERENCE, MANAGEMENT])
def test_only_its_own_signature_is_taken(emulators: Emulators, host: str) -> None:
    for headers in ({}, {"Authorization": "Signature x"}, {"Authorization": "Bearer x"}, {"Authorization": "Basic x"}):
        assert code(call(emulators, host, "GET", "/20231130/models", headers)) == (401, "NotAuthenticated")
    assert code(ask(emulators, None, "/20231130/models", host, now=time.time() - 400)) == (401, "NotAuthenticated")
    emulators.credentials, old = DemoCredentials.random(), emulators.credentials
    rotated = emulators.credentials
    emulators.credentials = old
    signed = {"Authorization": f'Signature keyId="{rotated.oci.key_id}"'}
    assert code(call(emulators, host, "GET", "/20231130/models", signed)) == (401, "NotAuthenticated")


@pytest.mark.parametrize("name", ["X-API-Key", "x-amz-date", "opc-obo-token", "X-Mine"])
def test_what_a_client_left_behind_is_a_leak(emulators: Emulators, name: str) -> None:
    assert code(ask(emulators, envelope(), more={name: "llmauth_abc_def"})) == (400, "leftover_credential")


def test_an_api_key_is_taken_on_openais_paths_alone(emulators: Emulators) -> None:
    bearer = {"Authorization": f"Bearer {emulators.credentials.oci_api_key}", "Content-Type": "application/json"}
    asked = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hello"}]}
    assert call(emulators, INFERENCE, "POST", OPENAI, bearer, asked).json()["object"] == "chat.completion"
    assert b"[DONE]" in call(emulators, INFERENCE, "POST", OPENAI, bearer, {**asked, "stream": True}).body
    assert code(call(emulators, INFERENCE, "POST", CHAT, bearer, envelope())) == (401, "NotAuthenticated")
    both = bearer | {"X-Content-SHA256": "x"}
    assert code(call(emulators, INFERENCE, "POST", OPENAI, both, asked)) == (400, "leftover_credential")
    assert ask(emulators, asked, OPENAI).status == 200
    assert code(ask(emulators, {**asked, "tool_choice": "auto"}, OPENAI)) == (400, "InvalidParameter")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {**envelope(), "compartmentId": "mine"},
        {**envelope(), "more": 1},
        {**envelope(), "servingMode": {"servingType": "on_demand", "modelId": "x"}},
        {**envelope(), "servingMode": {"servingType": "DEDICATED", "modelId": "x"}},
        envelope({}),
        envelope({**HELLO, "apiFormat": "generic"}),
        envelope({**HELLO, "messages": []}),
        envelope({**HELLO, "messages": [{"role": "user", "content": []}]}),
        envelope({**HELLO, "messages": [{"role": "USER", "content": "hello"}]}),
        envelope({**HELLO, "reasoningEffort": "low"}),
        envelope({**HELLO, "stream": True}),
    ],
)
def test_a_question_is_held_to_oracles_fields(emulators: Emulators, body: dict[str, Any]) -> None:
    assert code(ask(emulators, body)) == (400, "InvalidParameter")


def test_a_model_that_is_not_there_looks_like_one_that_is_forbidden(emulators: Emulators) -> None:
    for model in ("unheard.of", "cohere.embed-v4.0"):
        assert code(ask(emulators, envelope(model=model))) == (404, "NotAuthorizedOrNotFound")
    for path, host in (("/20231130/actions/x", INFERENCE), ("/20231130/models", INFERENCE), (CHAT, MANAGEMENT)):
        assert code(ask(emulators, None, path, host)) == (404, "NotAuthorizedOrNotFound")


def test_an_answer_and_its_stream(emulators: Emulators) -> None:
    whole = ask(emulators, envelope()).json()
    assert whole["modelId"] == "meta.llama-3.3-70b-instruct"
    text = whole["chatResponse"]["choices"][0]["message"]["content"][0]["text"]
    streamed = ask(emulators, envelope({**HELLO, "isStream": True}))
    assert streamed.header("content-type") == "text/event-stream"  # exactly, or the SDK does not stream
    assert text.split()[-1].encode() in streamed.body
    dedicated = {**envelope(), "servingMode": {"servingType": "DEDICATED", "endpointId": "ocid1.x"}}
    assert ask(emulators, dedicated).json()["modelId"] == "ocid1.x"


def test_a_failure_has_oracles_name(emulators: Emulators) -> None:
    for status, kind in ((404, "NotAuthorizedOrNotFound"), (429, "TooManyRequests"), (500, "InternalServerError")):
        emulators.behave(INFERENCE, Behaviour(status=status))
        assert code(ask(emulators, envelope())) == (status, kind)


def test_embeddings_and_guardrails(emulators: Emulators) -> None:
    asked = {**envelope(model="cohere.embed-v4.0"), "inputs": ["a", "b"]}
    del asked["chatRequest"]
    assert len(ask(emulators, asked, "/20231130/actions/embedText").json()["embeddings"]) == 2
    guarded = {"compartmentId": COMPARTMENT, "input": {"type": "TEXT"}, "guardrailConfigs": {}}
    assert ask(emulators, guarded, "/20231130/actions/applyGuardrails").status == 200


def test_models_are_listed_by_what_they_can(emulators: Emulators) -> None:
    path = f"/20231130/models?compartmentId={COMPARTMENT}"
    every = ask(emulators, None, path, MANAGEMENT).json()["items"]
    found = ask(emulators, None, f"{path}&capability=CHAT&vendor=cohere", MANAGEMENT).json()["items"]
    assert [one["displayName"] for one in found] == ["cohere.command-a-03-2025", "cohere.command-r-plus-08-2024"]
    assert len(every) == 6
    for wrong in ("/20231130/models", f"{path}&unheard=of", "/20231130/models?compartmentId=x"):
        assert code(ask(emulators, None, wrong, MANAGEMENT)) == (400, "InvalidParameter")


def test_the_dual_stack_name_is_the_same_service(emulators: Emulators) -> None:
    assert ask(emulators, envelope(), host=INFERENCE.replace(".oci.", ".ds.oci.")).status == 200


SDK = """
import os
os.environ["REQUESTS_CA_BUNDLE"] = os.environ["SSL_CERT_FILE"]
import oci
from oci.generative_ai_inference import GenerativeAiInferenceClient, models as m

config = {**identity, "region": "us-chicago-1"}
client = GenerativeAiInferenceClient(config, retry_strategy=oci.retry.NoneRetryStrategy())

def ask(model, request):
    serving = m.OnDemandServingMode(model_id=model)
    details = m.ChatDetails(compartment_id=compartment, serving_mode=serving, chat_request=request)
    return client.chat(details).data

message = m.UserMessage(content=[m.TextContent(text="hello")])
generic = ask("xai.grok-4", m.GenericChatRequest(messages=[message])).chat_response
cohere = ask("cohere.command-a-03-2025", m.CohereChatRequest(message="hello")).chat_response
choice = generic.choices[0]
result = [choice.message.content[0].text, choice.finish_reason, cohere.text, cohere.finish_reason]
"""


def test_the_official_sdk_is_answered_directly(emulators: Emulators, cloud_clients: Any) -> None:
    """Its own signature, and its models of both formats, which refuse an enumeration that is none of theirs."""
    identity = emulators.credentials.oci
    given = {"user": identity.user, "tenancy": identity.tenancy, "fingerprint": identity.fingerprint}
    given["key_content"] = identity.private_key
    said = cloud_clients.run(emulators, SDK, identity=given, compartment=COMPARTMENT)
    assert [said[1], said[3]] == ["stop", "COMPLETE"]
    assert said[0] == said[2]
    assert said[0].startswith("Hello from the emulated Oracle")
