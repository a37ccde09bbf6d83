"""The doors of protocol mode over real sockets: who answers, what is refused, and that no real host is met."""

from __future__ import annotations

import base64
import json

import pytest

from llmauth.demo.emulators import Emulators
from tests.e2e.clients import ways
from tests.e2e.clients.sdks import Sdks
from tests.e2e.protocol.calls import ask, chat, message
from tests.e2e.protocol.providers import CLAUDE_ON_BEDROCK
from tests.fixtures.serving import Serving

BEDROCK = "bedrock-runtime.us-east-1.amazonaws.com"
NOVA = "amazon.nova-pro-v1:0"
SAYS = "Hello from the emulated"


@pytest.mark.parametrize(
    ("path", "body", "served", "target"),
    [
        ("/v1/chat/completions", chat("nova"), "bedrock_us1", b"/model/amazon.nova-pro-v1%3A0/converse"),
        ("/v1/chat/completions", chat("openai/gpt-4o"), "openai", b"/v1/chat/completions"),
        ("/v1/chat/completions", chat("gpt-4o"), "openai", b"/v1/chat/completions"),
        ("/v1/chat/completions", chat("granite-4"), "watsonx", b"/ml/v1/text/chat?version=2026-10-14"),
        ("/openai/bedrock_us1/chat/completions", chat(NOVA), "bedrock_us1", b"/model/amazon.nova-pro-v1%3A0/converse"),
        (
            "/openai/bedrock_us1/v1/chat/completions",
            chat("nova"),
            "bedrock_us1",
            b"/model/amazon.nova-pro-v1%3A0/converse",
        ),
        ("/openai/nova/chat/completions", chat("nova"), "bedrock_us1", b"/model/amazon.nova-pro-v1%3A0/converse"),
        ("/v1/messages", message("openai/gpt-4o"), "openai", b"/v1/chat/completions"),
        ("/anthropic/anthropic/v1/messages?beta=true", message("claude-sonnet-4-5"), "anthropic", b"/v1/messages"),
        ("/anthropic/bedrock_us1/v1/messages", message("claude"), "bedrock_us1", None),
        (
            "/v1/responses",
            {"model": "nova", "input": "hello"},
            "bedrock_us1",
            b"/model/amazon.nova-pro-v1%3A0/converse",
        ),
    ],
)
def test_each_door_leads_to_its_provider(
    every: Serving, emulators: Emulators, path: str, body: object, served: str, target: bytes | None
) -> None:
    told = ask(every, path, body, anthropic_version="2023-06-01")
    assert told.status == 200, told.body
    assert told.headers["x-llmauth-served-by"] == served
    assert SAYS.encode() in told.body
    assert told.headers["x-request-id"]
    *_, seen = emulators.requests()
    if target is not None:
        assert seen.target == target
    assert every.key().encode() not in seen.head + seen.body


def test_a_rerouted_host_is_never_contacted(every: Serving, emulators: Emulators, sdks: Sdks) -> None:
    """`OpenAI()` and `Anthropic()` with placeholders, through HTTPS_PROXY: Bedrock answers."""
    code = """
    messages = [{"role": "user", "content": "hi"}]
    said = openai.OpenAI(max_retries=0).chat.completions.create(model="nova", messages=messages)
    told = anthropic.Anthropic(max_retries=0).messages.create(model="claude", max_tokens=50, messages=messages)
    result = [said.choices[0].message.content, told.content[0].text]
    """
    environ = {**ways.key_in_the_proxy(every), "OPENAI_API_KEY": "sk-placeholder", "ANTHROPIC_API_KEY": "placeholder"}
    for said in sdks.run(code, environ):
        assert said.startswith(SAYS)
    assert {one.host for one in emulators.requests()} == {BEDROCK}


def test_what_is_no_inference_is_refused_at_a_rerouted_host(every: Serving, emulators: Emulators, sdks: Sdks) -> None:
    """Its owner, an instance here, is not asked either; by its path it is."""
    code = """
    client = openai.OpenAI(max_retries=0)
    calls = [
        lambda: client.files.create(file=("a", b"x"), purpose="batch"),
        lambda: client.completions.create(model="gpt-3.5-turbo-instruct", prompt="x"),
    ]
    result = []
    for call in calls:
        try:
            call()
        except openai.NotFoundError as refused:
            result.append(str(refused))
    """
    environ = {**ways.key_in_the_proxy(every), "OPENAI_API_KEY": "sk-placeholder"}
    refused = sdks.run(code, environ)
    assert len(refused) == 2
    for said in refused:
        assert "Nothing but inference" in said
        assert "/transparent/openai/…" in said
    assert emulators.requests() == ()
    assert ask(every, "/transparent/openai/v1/models", method="GET").status == 200
    assert [one.host for one in emulators.requests()] == ["api.openai.com"]


def test_where_the_protocol_is_at_home_all_else_passes(every: Serving, emulators: Emulators) -> None:
    told = ask(every, "/openai/openai/v1/models?limit=3", method="GET")
    assert told.status == 200
    assert emulators.requests()[-1].target == b"/v1/models?limit=3"


@pytest.mark.parametrize("suffix", ["", "-with-response-stream"])
@pytest.mark.parametrize("prefix", ["/v1/bedrock", "/bedrock"])
def test_the_envelope_of_the_seed_is_opened(every: Serving, emulators: Emulators, prefix: str, suffix: str) -> None:
    asked = {
        "anthropic_version": "bedrock-2023-05-31",
        "max_tokens": 50,
        "messages": [{"role": "user", "content": "hi"}],
    }
    envelope = {
        "modelId": CLAUDE_ON_BEDROCK,
        "contentType": "application/json",
        "accept": "application/json",
        "body": json.dumps(asked),
    }
    told = ask(every, f"{prefix}/invoke-model{suffix}", envelope)
    assert told.status == 200, told.body
    (seen,) = emulators.requests()
    operation = b"invoke-with-response-stream" if suffix else b"invoke"
    assert seen.target == b"/model/us.anthropic.claude-sonnet-4-5-20250929-v1%3A0/" + operation
    assert seen.body == json.dumps(asked).encode()
    if suffix:
        assert b"chunk" in told.body
    else:
        assert told.json["content"][0]["text"].startswith(SAYS)


def test_an_envelope_of_a_short_name(every: Serving, emulators: Emulators) -> None:
    asked = {
        "anthropic_version": "bedrock-2023-05-31",
        "max_tokens": 50,
        "messages": [{"role": "user", "content": "hi"}],
    }
    told = ask(every, "/v1/bedrock/invoke-model", {"modelId": "claude", "body": asked})
    assert told.status == 200, told.body
    assert emulators.requests()[-1].target == b"/model/us.anthropic.claude-sonnet-4-5-20250929-v1%3A0/invoke"


def test_an_envelope_without_a_model_is_told_how_it_looks(every: Serving, emulators: Emulators) -> None:
    told = ask(every, "/v1/bedrock/invoke-model", {"body": "{}"})
    assert told.status == 400
    assert told.headers["x-amzn-errortype"] == "ValidationException"
    assert '"modelId"' in told.json["message"]
    assert emulators.requests() == ()


def test_an_envelope_of_bytes(every: Serving, emulators: Emulators) -> None:
    picture = base64.b64encode(b"\x89PNG").decode()
    ask(every, "/v1/bedrock/invoke-model", {"modelId": NOVA, "contentType": "image/png", "body": picture})
    (seen,) = emulators.requests()
    assert (seen.body, seen.values("content-type")) == (b"\x89PNG", [b"image/png"])


def test_bedrocks_own_path_at_the_root_takes_a_short_name(every: Serving, emulators: Emulators) -> None:
    asked = {"messages": [{"role": "user", "content": [{"text": "hi"}]}]}
    told = ask(every, "/model/nova/converse", asked)
    assert told.status == 200, told.body
    assert emulators.requests()[-1].target == b"/model/amazon.nova-pro-v1%3A0/converse"


@pytest.mark.parametrize(
    ("path", "body", "status", "code", "says"),
    [
        ("/v1/chat/completions", chat("nobodys-model"), 404, "model_not_found", "'nobodys-model' is not known"),
        ("/v1/chat/completions", chat("nov"), 404, "model_not_found", "nova"),
        ("/openai/nobody/chat/completions", chat("x"), 404, "instance_not_found", "bedrock_us1"),
        ("/openai/bedrock_us1/v1/audio/speech", chat("x"), 404, "not_found", "chat/completions"),
        ("/gemini/bedrock_us1/x", chat("x"), 404, "not_found", "/v1/chat/completions"),
        ("/v1/chat/completions", {"messages": []}, 400, "bad_request", "names no model"),
        ("/v1/chat/completions", b"not json", 400, "invalid_request", "JSON"),
        ("/v1/chat/completions", b'{"model":"nova","model":"gpt-4o","messages":[]}', 400, "invalid_request", "twice"),
        ("/v1/chat/completions", {"model": 3}, 400, "invalid_request", "model"),
        ("/v1/chat/completions", b"[" * 100_000, 400, "invalid_request", "JSON"),
        ("/openai/bedrock_us1/chat/completions", chat("llmauth_abcdefghij_secret"), 400, "bad_request", "key"),
    ],
)
def test_what_cannot_be_asked_is_told_in_the_protocols_shape(
    every: Serving, emulators: Emulators, path: str, body: object, status: int, code: str, says: str
) -> None:
    told = ask(every, path, body)
    assert (told.status, told.json["error"]["code"]) == (status, code), told.body
    assert says in told.json["error"]["message"]
    assert told.json["error"]["request_id"] == told.headers["x-request-id"]
    assert emulators.requests() == ()
    assert "secret" not in every.log()


def test_a_refusal_of_messages_has_anthropics_shape(every: Serving) -> None:
    told = ask(every, "/v1/messages", message("nobodys-model"))
    assert (told.status, told.json["type"], told.json["error"]["type"]) == (404, "error", "not_found_error")


def test_another_method_is_refused(every: Serving) -> None:
    assert ask(every, "/v1/chat/completions", method="GET").status == 405
    assert ask(every, "/v1/models", chat("x")).status == 405


def test_a_compressed_body_cannot_be_read(every: Serving) -> None:
    told = ask(every, "/v1/chat/completions", b"\x1f\x8b", content_encoding="gzip")
    assert (told.status, "gzip" in told.json["error"]["message"]) == (400, True)


def test_models_are_those_of_the_configuration(every: Serving, emulators: Emulators, sdks: Sdks) -> None:
    code = """
    client = openai.OpenAI(max_retries=0)
    result = [
        sorted(model.id for model in client.models.list()), client.models.retrieve("nova").owned_by,
        [model.id for model in anthropic.Anthropic(max_retries=0).models.list()],
    ]
    """
    environ = {
        "OPENAI_BASE_URL": ways.plain(every, "/v1"),
        "OPENAI_API_KEY": every.key(),
        "ANTHROPIC_BASE_URL": ways.plain(every, ""),
        "ANTHROPIC_API_KEY": every.key(),
    }
    listed, owner, of_anthropic = sdks.run(code, environ)
    assert listed == ["claude", "command", "gpt-4o", "nova"]
    assert owner == "bedrock"
    assert sorted(of_anthropic) == listed
    assert emulators.requests() == ()


def test_no_key_no_answer(every: Serving, emulators: Emulators) -> None:
    for path in ("/v1/chat/completions", "/openai/bedrock_us1/chat/completions", "/v1/models", "/bedrock/invoke-model"):
        told = ask(every, path, chat("nova"), authorization="")
        assert told.status == 401, path
    assert emulators.requests() == ()
