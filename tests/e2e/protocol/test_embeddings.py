"""Embeddings over real sockets: OpenAI's client and every provider's API, one call or many, and what goes wrong."""

from __future__ import annotations

import json
import struct
from base64 import b64decode
from dataclasses import dataclass

import pytest

from llmauth.demo.behaviour import ORDINARY, Behaviour, Cut
from llmauth.demo.embeddings import vector
from llmauth.demo.emulators import Emulators
from tests.e2e.clients import ways
from tests.e2e.clients.sdks import Sdks
from tests.e2e.clients.test_oracle import INFERENCE
from tests.e2e.clients.test_watsonx import MODELS as WATSONX
from tests.e2e.protocol.calls import ask, chat, message
from tests.fixtures.clouds import AZURE_US, VERTEX_US
from tests.fixtures.raw import Wire
from tests.fixtures.serving import Serving
from tests.llmauth.demo.clients import ClientProblem

BEDROCK = "bedrock-runtime.us-east-1.amazonaws.com"
TITAN = "amazon.titan-embed-text-v2:0"
PATH = "/openai/bedrock_us1/v1/embeddings"


@dataclass(frozen=True, slots=True)
class Model:
    """One that embeds: where, how long its vectors are, another length that it has, and how many texts a call takes."""

    instance: str
    model: str
    host: str
    size: int
    other: int | None
    batch: int


MODELS = {
    "openai": Model("openai", "text-embedding-3-small", "api.openai.com", 1536, 512, 2048),
    "azure": Model("azure_us", "embed", AZURE_US, 1536, 512, 2048),
    "titan 2": Model("bedrock_us1", TITAN, BEDROCK, 1024, 256, 1),
    "titan 1": Model("bedrock_us1", "amazon.titan-embed-text-v1", BEDROCK, 1536, None, 1),
    "cohere 3 on bedrock": Model("bedrock_us1", "cohere.embed-english-v3", BEDROCK, 1024, None, 96),
    "cohere 4 on bedrock": Model("bedrock_us1", "us.cohere.embed-v4:0", BEDROCK, 1536, 512, 96),
    "text-embedding": Model("vertex_us", "text-embedding-005", VERTEX_US, 768, 256, 250),
    "multilingual": Model("vertex_us", "text-multilingual-embedding-002", VERTEX_US, 768, 256, 250),
    "gemini 1": Model("vertex_us", "gemini-embedding-001", VERTEX_US, 3072, 768, 100),
    "gemini 2": Model("vertex_us", "gemini-embedding-2", VERTEX_US, 3072, 768, 1),
    "watsonx": Model("watsonx", "ibm/slate-30m-english-rtrvr-v2", WATSONX, 384, None, 300),
    "cohere 4 on oracle": Model("oracle", "cohere.embed-v4.0", INFERENCE, 1536, 512, 96),
    "cohere 3 on oracle": Model("oracle", "cohere.embed-english-v3.0", INFERENCE, 1024, None, 96),
}
TRANSLATED = {name: one for name, one in MODELS.items() if one.instance not in ("openai", "azure_us")}

CODE = """
# Strict, the SDK refuses the base64 that it asks for itself.
client = openai.OpenAI(max_retries=0, _strict_response_validation="encoding_format" in more)
told = client.embeddings.create(model=model, input=texts, **more)
usage = told.usage
result = [[one.embedding for one in told.data], [one.index for one in told.data], told.model, usage.to_dict()]
"""


def by_path(gateway: Serving, instance: str) -> dict[str, str]:
    base = ways.plain(gateway, f"/openai/{instance}/v1")
    return {"OPENAI_BASE_URL": base, "OPENAI_API_KEY": gateway.key()}


def expected(texts: list[str], size: int) -> list[list[float]]:
    return [vector(text, size) for text in texts]


@pytest.mark.parametrize("more", [{}, {"encoding_format": "float"}], ids=["base64, as the SDK asks", "float"])
@pytest.mark.parametrize("one", MODELS.values(), ids=MODELS)
def test_the_openai_client_has_the_vectors_of_its_texts_in_their_order(
    every: Serving, emulators: Emulators, sdks: Sdks, one: Model, more: dict[str, str]
) -> None:
    texts = ["the first", "второй", "third 三"]
    got, order, model, usage = sdks.run(CODE, by_path(every, one.instance), model=one.model, texts=texts, more=more)
    assert got == expected(texts, one.size)
    assert order == [0, 1, 2]
    assert usage["prompt_tokens"] == usage["total_tokens"] > 0
    assert model == one.model or one.instance == "azure_us"
    seen = emulators.requests(one.host)
    assert len(seen) == -(-len(texts) // one.batch)
    assert not any(every.key().encode() in request.head + request.body for request in seen)


@pytest.mark.parametrize("one", TRANSLATED.values(), ids=TRANSLATED)
def test_one_text_and_the_length_of_its_vector(every: Serving, emulators: Emulators, sdks: Sdks, one: Model) -> None:
    environ = by_path(every, one.instance)
    got, *_ = sdks.run(CODE, environ, model=one.model, texts="alone", more={})
    assert got == expected(["alone"], one.size)
    more = {"dimensions": one.other or 256}
    if one.other is not None:
        got, *_ = sdks.run(CODE, environ, model=one.model, texts="alone", more=more)
        assert got == expected(["alone"], one.other)
        return
    with pytest.raises(ClientProblem) as refused:
        sdks.run(CODE, environ, model=one.model, texts="alone", more=more)
    assert (refused.value.kind, refused.value.status) == ("BadRequestError", 400)
    assert "dimensions" in str(refused.value)


@pytest.mark.parametrize("one", TRANSLATED.values(), ids=TRANSLATED)
def test_many_texts_are_as_many_calls_as_it_takes_and_one_answer(
    every: Serving, emulators: Emulators, one: Model
) -> None:
    count = 40 if one.batch == 1 else one.batch + 5
    texts = [f"text {number}" for number in range(count)]
    told = ask(every, f"/openai/{one.instance}/v1/embeddings", {"model": one.model, "input": texts})
    assert told.status == 200, told.body[:500]
    assert [item["index"] for item in told.json["data"]] == list(range(count))
    assert [item["embedding"] for item in told.json["data"]] == expected(texts, one.size)
    assert len(emulators.requests(one.host)) == -(-count // one.batch)


def test_base64_is_little_endian_float32(every: Serving, emulators: Emulators) -> None:
    told = ask(every, PATH, {"model": TITAN, "input": ["a", "b"], "encoding_format": "base64"})
    for item, text in zip(told.json["data"], ["a", "b"], strict=True):
        packed = b64decode(item["embedding"])
        assert list(struct.unpack(f"<{len(packed) // 4}f", packed)) == vector(text, 1024)


def test_every_door_leads_there(every: Serving, emulators: Emulators, sdks: Sdks) -> None:
    body = {"model": TITAN, "input": ["a", "b"]}
    for path in ("/v1/embeddings", PATH, "/openai/bedrock/embeddings"):
        told = ask(every, path, body)
        assert (told.status, told.headers["x-llmauth-served-by"]) == (200, "bedrock_us1")
    environ = {**ways.key_in_the_proxy(every), "OPENAI_API_KEY": "sk-placeholder"}
    got, *_ = sdks.run(CODE, environ, model=TITAN, texts=["a", "b"], more={})
    assert got == expected(["a", "b"], 1024)
    assert {one.host for one in emulators.requests()} == {BEDROCK}


def test_what_is_left_out_is_told_and_nothing_of_the_clients_head_goes_along(
    every: Serving, emulators: Emulators
) -> None:
    body = {"model": TITAN, "input": ["a", "b"], "user": "me", "input_type": "search_query", "a\r\nX-Evil: 1": 1}
    told = ask(every, PATH, body, cookie="canary", x_secret="canary")
    assert told.headers["x-llmauth-dropped"] == "a??X-Evil??1, user, input_type"
    assert "x-evil" not in told.headers
    for one in emulators.requests():
        assert b"canary" not in one.head
        assert set(json.loads(one.body)) == {"inputText"}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (PATH, {"model": TITAN, "input": "a"}),
        ("/v1/chat/completions", chat("nova")),
        ("/v1/messages", message("nova")),
        ("/v1/responses", {"model": "nova", "input": "hello"}),
    ],
)
def test_no_name_of_a_member_ends_the_header_that_tells_of_it(
    every: Serving, emulators: Emulators, path: str, body: dict[str, object]
) -> None:
    told = ask(every, path, {**body, "a\r\nX-Evil: 1\r\n\r\nevil": 1, "plain": 1})
    assert told.status == 200, told.body
    assert "plain" in told.headers["x-llmauth-dropped"]
    assert "x-evil" not in told.headers
    assert not told.body.startswith(b"evil")


def test_tokens_that_a_provider_does_not_count_are_an_estimate_that_says_so(
    every: Serving, emulators: Emulators
) -> None:
    told = ask(every, "/openai/vertex_us/v1/embeddings", {"model": "text-embedding-005", "input": "a b c"})
    assert "x-llmauth-estimate" not in told.headers
    emulators.behave(BEDROCK, Behaviour(body=b'{"embedding":[1.0]}'))
    told = ask(every, PATH, {"model": TITAN, "input": "four score"})
    assert (told.json["usage"]["prompt_tokens"], told.headers["x-llmauth-estimate"]) == (3, "true")


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"input": [1, 2, 3]}, "input"),
        ({"input": [[1, 2], [3]]}, "input"),
        ({"input": []}, "input"),
        ({"input": ["a", ""]}, "input[1]"),
        ({"input": ["a"] * 257}, "input"),
        ({"input": ["a"] * 2049}, "input"),
        ({"dimensions": 300}, "dimensions"),
        ({"encoding_format": "int8"}, "encoding_format"),
        ({"input_type": "query"}, "input_type"),
    ],
)
def test_what_cannot_be_done_is_refused_by_name_and_asked_of_nobody(
    every: Serving, emulators: Emulators, more: dict[str, object], param: str
) -> None:
    told = ask(every, PATH, {"model": TITAN, "input": "a", **more})
    assert (told.status, told.json["error"]["param"]) == (400, param), told.body
    assert emulators.requests() == ()


def test_a_model_that_does_not_embed_is_not_asked(every: Serving, emulators: Emulators) -> None:
    told = ask(every, PATH, {"model": "nova", "input": "a"})
    assert (told.status, told.json["error"]["code"]) == (404, "not_found")
    assert emulators.requests() == ()


# ---- one of several calls goes wrong ---------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [400, 403, 404, 429, 500, 503])
@pytest.mark.parametrize("place", ["first", "later"])
def test_one_refusal_is_that_of_the_whole(
    every: Serving, emulators: Emulators, sdks: Sdks, status: int, place: str
) -> None:
    if place == "later":
        emulators.behave(BEDROCK, ORDINARY)
    emulators.behave(BEDROCK, Behaviour(status=status))
    with pytest.raises(ClientProblem) as refused:
        sdks.run(CODE, by_path(every, "bedrock_us1"), model=TITAN, texts=["a", "b"], more={})
    assert refused.value.status == status
    assert len(emulators.requests(BEDROCK)) == (1 if place == "first" else 2)


def test_what_is_refused_is_not_asked_again_and_again(every: Serving, emulators: Emulators) -> None:
    emulators.behave(BEDROCK, Behaviour(status=429), times=None)
    told = ask(every, PATH, {"model": TITAN, "input": ["a"] * 200})
    assert told.status == 429
    assert len(emulators.requests()) == 1


@pytest.mark.parametrize("place", ["first", "later"])
def test_a_refused_credential_is_no_fault_of_the_callers(every: Serving, emulators: Emulators, place: str) -> None:
    if place == "later":
        emulators.behave(BEDROCK, ORDINARY)
    emulators.behave(BEDROCK, Behaviour(status=403, error="InvalidSignatureException"))
    told = ask(every, PATH, {"model": TITAN, "input": ["a", "b"]})
    assert (told.status, told.json["error"]["code"]) == (502, "credential_rejected")
    assert told.headers.get("x-llmauth-served-by") == (None if place == "first" else "bedrock_us1")


@pytest.mark.parametrize(
    "behaviour",
    [
        Behaviour(body=b"[]"),
        Behaviour(body=b'{"embedding":[]}'),
        Behaviour(body=b'{"embedding":[NaN]}'),
        Behaviour(body=b'{"embedding":["x"]}'),
        Behaviour(gzip=True),
        Behaviour(cut_after=20, cut=Cut.RST),
        Behaviour(cut_after=0),
        Behaviour(raw=b"HTTP/1.1 307 X\r\nLocation: https://api.openai.com/v1/x\r\nContent-Length: 0\r\n\r\n"),
        Behaviour(raw=b"no HTTP at all\r\n\r\n"),
        Behaviour(status=302, fields=((b"location", b"https://api.openai.com/v1/models"),)),
    ],
    ids=["list", "empty", "nan", "text", "gzip", "reset", "cut", "redirect", "garbage", "found"],
)
@pytest.mark.parametrize("place", ["first", "later"])
def test_a_broken_answer_is_never_a_part_of_one(
    every: Serving, emulators: Emulators, behaviour: Behaviour, place: str
) -> None:
    if place == "later":
        emulators.behave(BEDROCK, ORDINARY)
    emulators.behave(BEDROCK, behaviour)
    told = ask(every, PATH, {"model": TITAN, "input": ["a", "b"]})
    assert told.status == 502, told.body
    assert told.json["error"]["type"] == "server_error" or told.json["error"]["code"].startswith("provider_")
    assert b'"embedding"' not in told.body
    assert {one.host for one in emulators.requests()} == {BEDROCK}


def test_who_leaves_is_not_worked_for(every: Serving, emulators: Emulators) -> None:
    emulators.behave(BEDROCK, ORDINARY)
    emulators.behave(BEDROCK, Behaviour(first_byte_delay=0.4), times=None)
    body = json.dumps({"model": TITAN, "input": [f"t{number}" for number in range(200)]}).encode()
    with Wire(every.port) as wire:
        head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {every.key()}\r\nContent-Length: {len(body)}"
        wire.send(head.encode() + b"\r\n\r\n" + body)
        emulators.wait(lambda seen: len(seen) >= 9)
    with pytest.raises(TimeoutError):
        emulators.wait(lambda seen: len(seen) > 17, timeout=1.0)


def test_others_are_served_while_one_waits(every: Serving, emulators: Emulators) -> None:
    """Its calls have threads of their own: nobody's key is judged later for them."""
    emulators.behave(BEDROCK, ORDINARY)
    emulators.behave(BEDROCK, Behaviour(first_byte_delay=1.0), times=8)
    body = json.dumps({"model": TITAN, "input": [f"t{number}" for number in range(9)]}).encode()
    with Wire(every.port) as wire:
        head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {every.key()}\r\nContent-Length: {len(body)}"
        wire.send(head.encode() + b"\r\n\r\n" + body)
        emulators.wait(lambda seen: len(seen) == 9)
        told = ask(every, PATH, {"model": "cohere.embed-english-v3", "input": "a"})
        assert told.status == 200
        answered = [one for one in emulators.requests() if one.answered_at is not None]
        assert len(answered) < 9


def test_the_usage_is_logged(every: Serving, emulators: Emulators) -> None:
    told = ask(every, PATH, {"model": TITAN, "input": ["a", "b", "c"]})
    (line,) = [one for one in every.lines("request") if one["request_id"] == told.headers["x-request-id"]]
    assert line["status"] == 200
    assert line["input_tokens"] == told.json["usage"]["prompt_tokens"] > 0
    assert line["output_tokens"] == 0
