"""InvokeModel through boto3 and through the Anthropic SDK's Bedrock client: Claude, Titan text, Titan embeddings."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llmauth.demo.behaviour import Behaviour
from llmauth.demo.emulators import Emulators
from tests.llmauth.demo.clients import ClientProblem, Clients
from tests.llmauth.demo.test_bedrock import REGION, RUNTIME, SONNET, ask, sdk

CLAUDE: dict[str, Any] = {
    "anthropic_version": "bedrock-2023-05-31",
    "max_tokens": 1024,
    "messages": [{"role": "user", "content": "hello"}],
}
TITAN: dict[str, Any] = {"inputText": "hello", "textGenerationConfig": {"maxTokenCount": 4}}
INVOKE = """
import json
answer = runtime.invoke_model(modelId=model, body=json.dumps(body))
result = {"headers": answer["ResponseMetadata"]["HTTPHeaders"], "body": json.loads(answer["body"].read())}
"""
STREAM = """
import json
answer = runtime.invoke_model_with_response_stream(modelId=model, body=json.dumps(body))
result = [json.loads(event["chunk"]["bytes"]) for event in answer["body"]]
"""


def test_claude_answers_whole_with_its_counts(clients: Clients, emulators: Emulators) -> None:
    answer = sdk(clients, emulators, INVOKE, model=SONNET, body=CLAUDE)
    assert answer["body"]["model"] == "claude-3-sonnet-20240229"
    assert answer["body"]["content"][0]["text"].startswith("Hello from the emulated Claude")
    assert answer["headers"]["x-amzn-bedrock-output-token-count"] == "24"


def test_claude_streams_its_events_in_chunks(clients: Clients, emulators: Emulators) -> None:
    events = sdk(clients, emulators, STREAM, model=SONNET, body=CLAUDE)
    assert [event["type"] for event in events if event["type"] != "content_block_delta"] == [
        "message_start",
        "content_block_start",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    assert events[-1]["amazon-bedrock-invocationMetrics"]["outputTokenCount"] == 24


def test_the_anthropic_sdk_speaks_to_it(clients: Clients, emulators: Emulators) -> None:
    """It signs for itself, and sends the colon of a model id as it is."""
    code = """
    import anthropic
    client = anthropic.AnthropicBedrock(
        aws_access_key=key_id, aws_secret_key=secret, aws_session_token=token, aws_region=region, max_retries=0
    )
    asked = {"model": model, "max_tokens": 1024, "messages": [{"role": "user", "content": "hello"}]}
    with client.messages.stream(**asked) as stream:
        streamed = "".join(stream.text_stream)
    result = [streamed, client.messages.create(**asked).content[0].text]
    """
    streamed, whole = sdk(clients, emulators, code, model=SONNET)
    assert streamed == whole
    assert whole.startswith("Hello from the emulated Claude")
    assert emulators.requests(RUNTIME)[0].target == f"/model/{SONNET}/invoke-with-response-stream".encode()


def test_titan_answers_whole_and_streamed(clients: Clients, emulators: Emulators) -> None:
    model = "amazon.titan-text-express-v1"
    whole = sdk(clients, emulators, INVOKE, model=model, body=TITAN)["body"]
    pieces = sdk(clients, emulators, STREAM, model=model, body=TITAN)
    assert whole["results"][0]["outputText"] == "".join(piece["outputText"] for piece in pieces)
    assert whole["results"][0]["completionReason"] == pieces[-1]["completionReason"] == "LENGTH"


def test_titan_embeds(clients: Clients, emulators: Emulators) -> None:
    body = {"inputText": "hello", "dimensions": 256}
    answer = sdk(clients, emulators, INVOKE, model="amazon.titan-embed-text-v2:0", body=body)
    assert len(answer["body"]["embedding"]) == 256


@pytest.mark.parametrize(("model", "body"), [(SONNET, CLAUDE), ("amazon.titan-text-express-v1", TITAN)])
def test_a_stream_that_fails_ends_with_an_exception_frame(
    clients: Clients, emulators: Emulators, model: str, body: dict[str, Any]
) -> None:
    emulators.behave(RUNTIME, Behaviour(fail_after=2))
    with pytest.raises(ClientProblem, match="EventStreamError"):
        sdk(clients, emulators, STREAM, model=model, body=body)


@pytest.mark.parametrize(
    ("model", "body", "named"),
    [
        (SONNET, {**CLAUDE, "model": "claude"}, "'model' is not known here"),
        (SONNET, {**CLAUDE, "stream": True}, "'stream' is not known here"),
        (SONNET, {**CLAUDE, "anthropic_version": "2023-06-01"}, "'anthropic_version' expected one of"),
        ("amazon.titan-text-express-v1", CLAUDE, "'inputText' is required"),
        ("meta.llama3-8b-instruct-v1:0", {"prompt": "x"}, "no other is emulated"),
    ],
)
def test_the_wrong_body_for_a_model_is_refused(
    emulators: Emulators, model: str, body: dict[str, Any], named: str
) -> None:
    reply = ask(emulators, "POST", RUNTIME, f"/model/{model}/invoke", json.dumps(body).encode())
    assert reply.status == 400
    assert named in reply.json()["message"]


def test_embeddings_have_no_stream(emulators: Emulators) -> None:
    target = "/model/amazon.titan-embed-text-v2:0/invoke-with-response-stream"
    assert ask(emulators, "POST", RUNTIME, target, b'{"inputText":"x"}').status == 400


def test_tokens_are_counted(clients: Clients, emulators: Emulators) -> None:
    code = "result = runtime.count_tokens(modelId=model, input={'converse': {'messages': hello}})['inputTokens']"
    assert sdk(clients, emulators, code, model=SONNET, region=REGION) > 0
