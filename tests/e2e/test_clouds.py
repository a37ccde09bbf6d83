"""Azure and Vertex on the wire: which of several instances is meant, and endpoints that nobody has heard of."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator

import pytest

from llmauth.demo.behaviour import Behaviour
from llmauth.demo.emulators import Emulators
from tests.e2e.fidelity.calls import AZURE, VERTEX, Call, Heard, Roads
from tests.e2e.fidelity.comparison import differences
from tests.fixtures.calls import eventually, seconds
from tests.fixtures.clouds import AZURE_EU, AZURE_US, CLOUDS, VERTEX_EU, VERTEX_US, VERTEX_WEST, cloud_environment
from tests.fixtures.raw import Answer, Wire, tunnel
from tests.fixtures.serving import Serving, start
from tests.fixtures.sockets import handshake, opened

CHAT = "/openai/deployments/chat-4o/chat/completions?api-version=2024-10-21"
CHAT_BODY = json.dumps({"messages": [{"role": "user", "content": "hello"}]}).encode()
GEMINI = "/v1beta1/projects/demo-project/locations/{}/publishers/google/models/gemini-2.5-flash"
GEMINI_BODY = json.dumps({"contents": [{"parts": [{"text": "hello"}]}]}).encode()
JSON = ("Content-Type", "application/json")


@pytest.fixture(scope="module")
def shared_clouds(tmp_path_factory: pytest.TempPathFactory, shared_emulators: Emulators) -> Iterator[Serving]:
    environ = cloud_environment(shared_emulators)
    serving = start(tmp_path_factory.mktemp("clouds"), shared_emulators, instances=CLOUDS, environ=environ)
    serving.key()
    yield serving
    serving.stop()


@pytest.fixture
def clouds(shared_clouds: Serving, emulators: Emulators) -> Serving:
    return shared_clouds


@pytest.fixture
def roads(clouds: Serving, emulators: Emulators) -> Roads:
    return Roads(gateway=clouds, emulators=emulators)


def by_path(clouds: Serving, target: str, body: bytes = b"", *more: tuple[str, str], method: str = "") -> Answer:
    headers = [("Host", "gateway"), ("X-API-Key", clouds.key()), JSON, *more]
    with Wire(clouds.port) as wire:
        return wire.request(method or ("POST" if body else "GET"), f"/transparent{target}", headers, body)


def by_host(clouds: Serving, host: str, target: str, body: bytes, *more: tuple[str, str]) -> Answer:
    with tunnel(clouds.port, host, clouds.key(), clouds.ca_file) as wire:
        return wire.request("POST", target, [("Host", host), JSON, *more], body)


# ---- several instances of a type -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "body", "host"),
    [
        (f"/azure{CHAT}", CHAT_BODY, AZURE_US),
        (f"/azure-openai{CHAT}", CHAT_BODY, AZURE_US),
        (f"/azure_us{CHAT}", CHAT_BODY, AZURE_US),
        (f"/azure_eu{CHAT}", CHAT_BODY, AZURE_EU),
        (f"/vertex{GEMINI.format('us-central1')}:generateContent", GEMINI_BODY, VERTEX_US),
        (f"/vertex-ai{GEMINI.format('us-central1')}:countTokens", GEMINI_BODY, VERTEX_US),
        (f"/vertex_west{GEMINI.format('europe-west4')}:generateContent", GEMINI_BODY, VERTEX_WEST),
        (f"/vertex_eu{GEMINI.format('eu')}:generateContent", GEMINI_BODY, VERTEX_EU),
    ],
)
def test_by_name(clouds: Serving, emulators: Emulators, target: str, body: bytes, host: str) -> None:
    assert by_path(clouds, target, body).status == 200
    (seen,) = emulators.requests()
    assert (seen.host, seen.sni, seen.target.decode()) == (host, host, target[target.index("/", 1) :])


@pytest.mark.parametrize(
    ("host", "target", "body", "instance"),
    [
        (AZURE_US, CHAT, CHAT_BODY, "azure_us"),
        ("demo-us.cognitiveservices.azure.com", CHAT, CHAT_BODY, "azure_us"),
        (AZURE_EU, CHAT, CHAT_BODY, "azure_eu"),
        ("demo-eu.openai.azure.com", CHAT, CHAT_BODY, "azure_eu"),
        (VERTEX_US, f"{GEMINI.format('us-central1')}:generateContent", GEMINI_BODY, "vertex_us"),
        (VERTEX_WEST, f"{GEMINI.format('europe-west4')}:generateContent", GEMINI_BODY, "vertex_west"),
    ],
)
def test_by_host_and_location(
    clouds: Serving, emulators: Emulators, host: str, target: str, body: bytes, instance: str
) -> None:
    """Each with its own credential, of its own kind, whatever the caller put into the slots."""
    placeholders = [("api-key", "x"), ("x-goog-api-key", "x"), ("Authorization", "Bearer x")]
    assert by_host(clouds, host, target, body, *placeholders).status == 200
    (seen,) = emulators.requests(host)
    credentials = emulators.credentials
    bearer = {"azure_eu": credentials.azure_token, "azure_us": ""}.get(instance, credentials.google_token)
    assert seen.values("authorization") == ([f"Bearer {bearer}".encode()] if bearer else [])
    assert seen.values("api-key") == ([credentials.azure_key.encode()] if instance == "azure_us" else [])
    assert seen.values("x-goog-api-key") == []
    eventually(lambda: clouds.lines("request")[-1:] != [] and clouds.lines("request")[-1]["instance"] == instance)


@pytest.mark.parametrize(
    "host",
    [
        "other.openai.azure.com",
        "demo-us.openai.azure.us",
        "openai.azure.com",
        "us-east1-aiplatform.googleapis.com",
        "generativelanguage.googleapis.com",
        "us-central1-aiplatform.mtls.googleapis.com",
        "storage.googleapis.com",
    ],
)
def test_s1_another_host_of_the_same_cloud_is_not_served(clouds: Serving, emulators: Emulators, host: str) -> None:
    with Wire(clouds.port) as wire:
        assert wire.connect(f"{host}:443", clouds.key()).status == 403
    assert emulators.connections == ()


@pytest.mark.parametrize("where", ["europe-west4", "us-central1.evil.example", "..%2f..", "us-central1@evil.example"])
def test_s7_a_location_in_the_path_leads_to_no_other_host(clouds: Serving, emulators: Emulators, where: str) -> None:
    """The path is the caller's and Google's to judge; the host is ours."""
    answer = by_path(clouds, f"/vertex_us{GEMINI.format(where)}:generateContent", GEMINI_BODY)
    assert answer.status == 400
    assert {one.host for one in emulators.requests()} <= {VERTEX_US}


@pytest.mark.parametrize(
    ("instance", "names"),
    [
        ("azure_us", ("api-key", "Api%2dKey", "subscription-key")),
        ("azure_eu", ("api-key", "subscription-key")),
        ("vertex_us", ("key", "KEY", "%24key", "access_token", "oauth_token", "%24httpHeaders")),
    ],
)
def test_s9_no_key_goes_along_in_a_query(
    clouds: Serving, emulators: Emulators, instance: str, names: tuple[str, ...]
) -> None:
    """Neither one of ours nor one that the caller got elsewhere, wherever this provider would read one."""
    for name in names:
        for value in (clouds.key(), "AIza-of-the-callers-own"):
            assert by_path(clouds, f"/{instance}/echo/x?a=1&{name}={value}&b=%2F").status == 200
    assert {one.target.removeprefix(b"/openai/v1") for one in emulators.requests()} == {b"/echo/x?a=1&b=%2F"}


# ---- endpoints that nobody has heard of ------------------------------------------------------------------------------

NOISE = random.Random(2).randbytes(300_000)
FORM = (
    b'--b\r\nContent-Disposition: form-data; name="file"; filename="a\xc3\xa4.wav"\r\n\r\n' + NOISE + b"\r\n--b--\r\n"
)
MULTIPART = ("Content-Type", "multipart/form-data; boundary=b")
VERSION = "?api-version=2024-10-21"
CALLS = {
    "files": Call(target=f"/openai/echo/files{VERSION}", headers=(MULTIPART,), body=FORM),
    "audio": Call(target=f"/openai/echo/audio/transcriptions{VERSION}", headers=(MULTIPART,), body=FORM),
    "batches": Call(target=f"/openai/echo/batches{VERSION}", headers=(JSON,), body=b'{"input_file_id":"f-1"}'),
    "a chunked upload": Call(target="/openai/v1/echo/uploads/u-1/parts", body=(NOISE[:70_000], NOISE[:3], NOISE[:1])),
    "a range": Call(method="GET", target="/echo/files/f-1/content", headers=(("Range", "bytes=5-9"),)),
    "odd spellings": Call(method="GET", target="/echo/a%2Fb/c%3Ad;v=1/e:f@g?x=%2f&&y=a+b&api-version=1&z"),
    "delete": Call(method="DELETE", target="/openai/v1/echo/files/f-1"),
    "head": Call(method="HEAD", target="/openai/v1/echo/models"),
    "patch": Call(method="PATCH", target="/echo/fine_tuning/1", headers=(("If-Match", '"a"'),), body=b"\x00\xff"),
    "preview features": Call(
        target="/openai/v1/echo/alpha", headers=(("aoai-evals", "preview"), ("x-ms-client-request-id", "1")), body=b"{}"
    ),
}
GOOGLE_CALLS = {
    "a job": Call(target="/v1/echo/projects/p/locations/l/batchPredictionJobs", headers=(JSON,), body=b"{}"),
    "an operation": Call(target="/v1/echo/operations/1:cancel?%24fields=a%2Cb&prettyPrint=false", body=b""),
    "an upload": Call(target="/echo/upload/x?uploadType=media", headers=(("x-goog-user-project", "p"),), body=NOISE),
}


def check(roads: Roads, host: str, call: Call) -> None:
    direct, wanted = roads.call_directly(host, call)
    inside, through = roads.call_in_tunnel(host, call)
    assert differences(direct, inside) == []
    by_path, beside = roads.call_by_path(host, call)
    assert differences(direct, by_path, by_path=True) == []
    assert told(wanted) == told(through) == told(beside)


def told(answer: Heard) -> tuple[int, bytes, bool]:
    return answer.status, answer.body, answer.complete


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_any_endpoint_of_azure(roads: Roads, call: Call) -> None:
    check(roads, AZURE, call)


@pytest.mark.parametrize("call", GOOGLE_CALLS.values(), ids=GOOGLE_CALLS)
def test_any_endpoint_of_vertex(roads: Roads, call: Call) -> None:
    check(roads, VERTEX, call)


@pytest.mark.parametrize("status", [201, 204, 206, 304])
def test_any_status_of_azure(roads: Roads, emulators: Emulators, status: int) -> None:
    body = b"56789" if status == 206 else b""
    ranged = ((b"Content-Range", b"bytes 5-9/100"),) if status == 206 else ()
    emulators.behave(AZURE, Behaviour(status=status, body=body, fields=(*ranged, (b"ETag", b'"a"'))), times=None)
    call = Call(method="GET", target="/openai/v1/echo/files/f-1/content", headers=(("Range", "bytes=5-9"),))
    check(roads, AZURE, call)
    _, answer = roads.call_in_tunnel(AZURE, call)
    assert (answer.status, answer.body) == (status, body)
    assert answer.values("etag") == [b'"a"']


def test_a_stream_of_azure_passes_piece_by_piece(clouds: Serving, emulators: Emulators) -> None:
    emulators.behave(AZURE_US, Behaviour(chunk_delay=0.05))
    body = json.dumps({"messages": [{"role": "user", "content": "hello"}], "stream": True}).encode()
    check_pace(clouds, f"/azure_us{CHAT}", body, b"prompt_filter_results", b"[DONE]")


def check_pace(clouds: Serving, target: str, body: bytes, first: bytes, last: bytes) -> None:
    """The first mark is there at once, and the last a while later: twelve tokens take 0.6 s."""
    fields = [("Host", "g"), ("X-API-Key", clouds.key()), JSON, ("Content-Length", str(len(body)))]
    lines = [f"POST /transparent{target} HTTP/1.1", *(f"{name}: {value}" for name, value in fields), "", ""]
    with Wire(clouds.port) as wire:
        wire.send("\r\n".join(lines).encode() + body)
        assert seconds(lambda: _until(wire, first)) < 0.4
        assert seconds(lambda: _until(wire, last)) > 0.2


def _until(wire: Wire, mark: bytes) -> None:
    tail = b""
    while mark not in tail:
        piece = wire.read(4096)
        assert piece, "the answer ended early"
        tail = tail[-64:] + piece


def test_a_growing_array_of_vertex_passes_piece_by_piece(clouds: Serving, emulators: Emulators) -> None:
    emulators.behave(VERTEX_US, Behaviour(chunk_delay=0.05))
    target = f"/vertex_us{GEMINI.format('us-central1')}:streamGenerateContent"
    check_pace(clouds, target, GEMINI_BODY, b'[{"candidates"', b"\n]")


def test_a_websocket_of_azure_has_the_resources_key(clouds: Serving, emulators: Emulators) -> None:
    """And so has one by its own host; at Vertex there is none."""
    target = "/openai/v1/realtime?model=chat-4o&api-key=x"
    with Wire(clouds.port) as wire:
        fields = handshake(("api-key", clouds.key()))
        assert opened(wire, f"/transparent/azure_us{target}", fields)[0].event()["type"] == "session.created"
    with tunnel(clouds.port, AZURE_EU, clouds.key(), clouds.ca_file) as inside:
        fields = handshake(("api-key", "placeholder"), host=AZURE_EU)
        assert opened(inside, target, fields)[0].event()["type"] == "session.created"
    one, other = emulators.requests()
    assert one.target == other.target == b"/openai/v1/realtime?model=chat-4o"
    assert (one.values("api-key"), one.values("authorization")) == ([emulators.credentials.azure_key.encode()], [])
    token = b"Bearer " + emulators.credentials.azure_token.encode()
    assert (other.values("api-key"), other.values("authorization")) == ([], [token])
    with Wire(clouds.port) as wire:
        fields = handshake(("X-API-Key", clouds.key()))
        assert wire.request("GET", "/transparent/vertex_us/ws/x", fields).status == 426


# ---- refusals in the shape of the path -------------------------------------------------------------------------------


def test_refusals_have_the_shape_of_the_path(clouds: Serving, emulators: Emulators) -> None:
    gemini, claude = GEMINI.format("us-central1"), "/v1/projects/p/locations/l/publishers/anthropic/models/c:rawPredict"
    for host in (VERTEX_US, AZURE_US):
        emulators.behave(host, Behaviour(status=401), times=None)
    refused = by_path(clouds, f"/vertex_us{gemini}:generateContent", GEMINI_BODY)
    assert refused.status == 502
    assert json.loads(refused.body)["error"]["code"] == 502
    (listed,) = json.loads(by_path(clouds, f"/vertex_us{gemini}:streamGenerateContent", GEMINI_BODY).body)
    assert listed["error"]["details"][0]["reason"] == "CREDENTIAL_REJECTED"
    anthropic = json.loads(by_path(clouds, f"/vertex_us{claude}", b"{}").body)
    assert (anthropic["type"], anthropic["error"]["type"]) == ("error", "api_error")
    azure = json.loads(by_path(clouds, f"/azure_us{CHAT}", CHAT_BODY).body)
    assert azure["error"]["code"] == "credential_rejected"
    foundry = json.loads(by_path(clouds, "/azure_us/anthropic/v1/messages", b"{}").body)
    assert foundry["error"]["type"] == "api_error"


def test_a_refusal_before_the_body_has_it_too(clouds: Serving, emulators: Emulators) -> None:
    """Nobody is asked, and nothing is dialled."""
    with Wire(clouds.port) as wire:
        target = f"/transparent/vertex_us{GEMINI.format('us-central1')}:generateContent"
        answer = wire.request("POST", target, [("Host", "g"), JSON, ("Content-Length", "1000000000")])
    assert (answer.status, json.loads(answer.body)["error"]["status"]) == (401, "UNAUTHENTICATED")
    with tunnel(clouds.port, AZURE_US, None, clouds.ca_file) as inside:
        answer = inside.request("POST", CHAT, [("Host", AZURE_US), ("api-key", "0" * 32), JSON], CHAT_BODY)
    assert (answer.status, json.loads(answer.body)["error"]["code"]) == (401, "invalid_api_key")
    assert emulators.connections == ()


# ---- what only a body tells ------------------------------------------------------------------------------------------

INVALID = {"error": {"code": 400, "status": "X", "message": "m", "details": [{"reason": "API_KEY_INVALID"}]}}


def test_a_400_that_is_about_something_else_arrives_as_it_was_sent(clouds: Serving, emulators: Emulators) -> None:
    said = json.dumps({"error": {"code": 400, "status": "FAILED_PRECONDITION", "message": "é" * 9000}}).encode()
    for framing in ({}, {"chunk_size": 100}, {"gzip": True}):
        emulators.behave(VERTEX_US, Behaviour(status=400, body=said, **framing))
        answer = by_path(clouds, "/vertex_us/v1/echo/x", b"{}")
        assert (answer.status, answer.complete) == (400, True)
        assert answer.body == said or answer.header("content-encoding") == "gzip"


def test_a_long_400_is_not_kept_back(clouds: Serving, emulators: Emulators) -> None:
    """B2: what is looked at is bounded; the rest passes as it comes, also where no length is told."""
    said = json.dumps({**INVALID, "padding": "x" * 200_000}).encode()
    emulators.behave(VERTEX_US, Behaviour(status=400, body=said), times=1)
    assert by_path(clouds, "/vertex_us/v1/echo/x", b"{}").body == said
    trailers = ((b"x-end", b"1"),)  # makes it chunked
    emulators.behave(VERTEX_US, Behaviour(status=400, body=said, chunk_size=10_000, trailers=trailers))
    answer = by_path(clouds, "/vertex_us/v1/echo/x", b"{}")
    assert (answer.status, answer.body, answer.complete) == (400, said, True)


def test_a_400_that_is_cut_while_it_is_kept_back_is_a_502(clouds: Serving, emulators: Emulators) -> None:
    said = json.dumps(INVALID).encode()
    emulators.behave(VERTEX_US, Behaviour(status=400, body=said, cut_after=10))
    answer = by_path(clouds, "/vertex_us/v1/echo/x", b"{}")
    assert (answer.status, json.loads(answer.body)["error"]["status"]) == (502, "UNAVAILABLE")
    assert by_path(clouds, "/vertex_us/v1/echo/x", b"{}").status == 200
