"""Attacks on the path of protocol mode, over real sockets: by callers, and by providers whose every byte is ours."""

from __future__ import annotations

import json
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from hyperframe.frame import RstStreamFrame

from llmauth.demo.behaviour import Behaviour
from llmauth.demo.emulators import Emulators
from llmauth.demo.eventstream import event
from tests.e2e.protocol.calls import Told, ask, chat, message
from tests.fixtures import h2raw, sockets
from tests.fixtures.raw import Wire
from tests.fixtures.serving import Serving, start
from tests.fixtures.upstreams import leading_to, read_request, serving

Answer = Callable[[ssl.SSLSocket], object]

EVENTS = "application/vnd.amazon.eventstream"
SAID = json.dumps(
    {
        "output": {"message": {"role": "assistant", "content": [{"text": "hi"}]}},
        "stopReason": "end_turn",
        "usage": {"inputTokens": 1, "outputTokens": 2, "totalTokens": 3},
    }
).encode()
STREAM = b"".join(
    event(kind, json.dumps(data).encode())
    for kind, data in [
        ("messageStart", {"role": "assistant"}),
        ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "hi"}}),
        ("contentBlockStop", {"contentBlockIndex": 0}),
        ("messageStop", {"stopReason": "end_turn"}),
        ("metadata", {"usage": {"inputTokens": 1, "outputTokens": 2, "totalTokens": 3}}),
    ]
)
CHAT = "/openai/bedrock_us1/chat/completions"
HOST = "api.openai.com"
MODELS = {"nova": {"instance": "bedrock_us1", "model": "amazon.nova-pro-v1:0"}}
OTHERS = 2.0


class Rigged:
    """A gateway whose providers are all one server, which answers as the test says."""

    def __init__(self, gateway: Serving) -> None:
        self.gateway = gateway
        self.answer: Answer = lambda tls: None

    def provider(self, tls: ssl.SSLSocket) -> None:
        """Reads a whole request, and answers it."""
        head, _, body = read_request(tls).partition(b"\r\n\r\n")
        length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        while len(body) < length and (more := tls.recv(1 << 20)):
            body += more
        self.answer(tls)


@pytest.fixture(scope="module")
def shared_rigged(tmp_path_factory: pytest.TempPathFactory, shared_emulators: Emulators) -> Iterator[Rigged]:
    folder = tmp_path_factory.mktemp("rigged")
    answers: list[Rigged] = []
    with serving(lambda tls: answers[0].provider(tls), folder) as (port, ca_file):
        sections: dict[str, Any] = {
            "upstream": leading_to(port, ca_file),
            "models": MODELS,
            "hosts": {HOST: {"protocol": "openai"}},
        }
        gateway = start(folder, shared_emulators, level="info", **sections)
        answers.append(Rigged(gateway))
        gateway.key()
        yield answers[0]
        gateway.stop()


@pytest.fixture
def rigged(shared_rigged: Rigged) -> Rigged:
    return shared_rigged


def whole(body: bytes, status: str = "200 OK", *more: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", "Content-Type: application/json", f"Content-Length: {len(body)}", *more]
    return "\r\n".join([*lines, "Connection: close", "", ""]).encode() + body


def streamed(*pieces: bytes, status: str = "200 OK", kind: str = EVENTS, end: bool = True) -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    chunks = [b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces if piece]
    return head.encode() + b"".join(chunks) + (b"0\r\n\r\n" if end else b"")


# 1. Callers.

NO_NAMES = [
    *("..", ".", "../..", "a/../b", "a/..", "%2e%2e", "a%2F..%2fb", "..\\x", "bedrock_us1/.."),
    *("a\r\nX-Evil: 1", "a\nb", "\x00", "\u2028", "\ud800", "x" * 5000),
]


@pytest.mark.parametrize("instance", ["bedrock_us1", "azure_us", "vertex_us", "openai"])
@pytest.mark.parametrize("name", NO_NAMES, ids=ascii)
def test_a_model_that_is_no_name_is_refused(every: Serving, emulators: Emulators, instance: str, name: str) -> None:
    """S7: what a client wrote is one segment of a path, and no way out of it."""
    told = ask(every, f"/openai/{instance}/chat/completions", chat(name))
    assert (told.status, told.json["error"]["param"]) == (400, "model"), told.body
    assert emulators.requests() == ()


@pytest.mark.parametrize("name", ["..", ".", "a/../b", "arn:aws:bedrock:us-east-1:1:x/..", "\ud800", "x" * 2049])
def test_an_envelope_for_no_model_is_refused(every: Serving, emulators: Emulators, name: str) -> None:
    told = ask(every, "/bedrock/invoke-model", {"modelId": name, "body": {}})
    assert (told.status, told.headers["x-amzn-errortype"]) == (400, "ValidationException")
    assert emulators.requests() == ()


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"])
@pytest.mark.parametrize(
    ("path", "body", "allow"),
    [
        ("/bedrock/invoke-model", {"modelId": "nova", "body": {}}, "POST"),
        ("/v1/bedrock/invoke-model-with-response-stream", {"modelId": "nova", "body": {}}, "POST"),
        (CHAT, chat("nova"), "POST"),
        ("/v1/messages/count_tokens", message("nova"), "POST"),
        ("/v1/models", None, "GET, HEAD"),
    ],
)
def test_other_methods_are_told_which_are_taken(
    every: Serving, emulators: Emulators, path: str, body: Any, allow: str, method: str
) -> None:
    told = ask(every, path, body, method)
    if method in allow:
        assert told.status == 200
    else:
        assert (told.status, told.headers["allow"]) == (405, allow)
    assert emulators.requests() == ()


def test_a_query_is_no_part_of_a_model(every: Serving, emulators: Emulators) -> None:
    assert ask(every, "/model/x?y=/invoke", {}).status == 404
    assert emulators.requests() == ()


@pytest.mark.parametrize("path", ["/v1/responses", "/openai/bedrock_us1/responses", "/openai/openai/v1/responses"])
def test_a_websocket_is_refused_as_one(every: Serving, emulators: Emulators, path: str) -> None:
    with Wire(every.port) as wire:
        refused = sockets.ask(wire, path, [*sockets.handshake(), ("Authorization", f"Bearer {every.key()}")])
    assert (refused.status, json.loads(refused.body)["error"]["code"]) == (426, "upgrade_refused")
    assert emulators.requests() == ()


def test_who_offers_http2_in_clear_text_is_served_as_it_came(every: Serving) -> None:
    """Java's HttpClient offers h2c on every plain connection."""
    told = ask(every, CHAT, chat("nova"), connection="Upgrade, HTTP2-Settings", upgrade="h2c", http2_settings="AAEAAA")
    assert told.status == 200, told.body


@pytest.mark.parametrize(
    "path",
    [
        *("/v1/chat%2fcompletions", "/v1/chat/completions/", "//v1/chat/completions", "/v1//chat/completions"),
        *("/V1/Chat/Completions", "/v1/%63hat/completions?x=1", "/v1/responses/", "/v1/embeddings//"),
    ],
)
def test_no_other_spelling_leads_to_a_rerouted_host(every: Serving, emulators: Emulators, path: str) -> None:
    with Wire(every.port) as wire:
        wire.connect("api.openai.com:443", every.key())
        wire.start_tls("api.openai.com", every.ca_file)
        fields = [("Host", "api.openai.com"), ("Authorization", "Bearer sk-placeholder")]
        answer = wire.request("POST", path, fields, json.dumps(chat("gpt-4o")).encode())
    assert answer.status == 404, answer.body
    assert emulators.requests() == ()


def test_cookies_stay_here(every: Serving, emulators: Emulators) -> None:
    """They are for the place that the client called, and that is us."""
    asked = {
        "/openai/openai/chat/completions": chat("gpt-4o"),
        CHAT: chat("nova"),
        "/bedrock/invoke-model": {"modelId": "nova", "body": {"messages": []}},
    }
    for path, body in asked.items():
        ask(every, path, body, cookie="AWSELBAuthSessionCookie-0=x")
        assert emulators.requests()[-1].values("cookie") == []


def test_a_key_in_the_wrong_place_is_shown_to_nobody(every: Serving, emulators: Emulators) -> None:
    key = every.key()
    result = {"role": "tool", "tool_call_id": key, "content": "x"}
    told = ask(every, "/v1/chat/completions", {**chat("gemini-2.5-pro"), "messages": [result]})
    assert told.status == 400
    dropped = ask(every, CHAT, {**chat("nova"), key: 1})
    assert key not in dropped.headers["x-llmauth-dropped"]
    assert key not in every.log()


def test_envelopes_on_one_connection_are_each_their_own(every: Serving, emulators: Emulators) -> None:
    """Equal heads, other bodies: nothing of the one before is kept."""
    with Wire(every.port) as wire:
        for model in ("nova", "eu.amazon.nova-pro-v1:0", "amazon.titan-text-lite-v1"):
            fields = [("Host", "x"), ("X-API-Key", every.key()), ("Content-Type", "application/json")]
            wire.request("POST", "/bedrock/invoke-model", fields, json.dumps({"modelId": model, "body": {}}).encode())
    hosts = [one.host for one in emulators.requests()]
    regions = ("us-east-1", "eu-west-1", "us-east-1")
    assert hosts == [f"bedrock-runtime.{region}.amazonaws.com" for region in regions]


def test_many_turns_of_one_role_stop_nobody(rigged: Rigged) -> None:
    """A hundred thousand messages: the event loop goes on, and the watchdog has nothing to end."""
    rigged.answer = lambda tls: tls.sendall(whole(SAID))
    body = chat("nova", messages=[{"role": "user", "content": "x" * 60}] * 100_000)
    with _Other(rigged.gateway) as other:
        assert ask(rigged.gateway, CHAT, body).status == 200
    assert other.longest < OTHERS


def test_an_answer_of_many_parts_stops_nobody(rigged: Rigged) -> None:
    answer = json.loads(SAID)
    answer["output"]["message"]["content"] = [{"text": "x" * 20}] * 400_000
    written = whole(json.dumps(answer).encode())
    rigged.answer = lambda tls: tls.sendall(written)
    with _Other(rigged.gateway) as other:
        assert ask(rigged.gateway, CHAT, chat("nova")).status == 200
    assert other.longest < OTHERS


class _Other:
    """Another client, which asks one small thing after the other."""

    def __init__(self, gateway: Serving) -> None:
        self._gateway = gateway
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._ask, daemon=True)
        self.longest = 0.0

    def _ask(self) -> None:
        fields = [("Host", "x"), ("X-API-Key", self._gateway.key())]
        with Wire(self._gateway.port, timeout=40) as wire:
            while not self._over.is_set():
                asked = time.monotonic()
                assert wire.request("GET", "/v1/models", fields).status == 200
                self.longest = max(self.longest, time.monotonic() - asked)
                time.sleep(0.01)

    def __enter__(self) -> _Other:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(40)
        assert self.longest, "the other client was not answered at all"


# 2. Providers.


def _sends(data: bytes, tls: ssl.SSLSocket) -> None:
    tls.sendall(data)


def refused(told: Told) -> bool:
    """Whether the answer says that the provider's is none."""
    return (told.status, told.json["error"]["type"], told.cut) == (502, "server_error", False)


@pytest.mark.parametrize("status", ["201 C", "204 N", "205 R", "206 P", "301 M", "302 F", "304 N", "307 T", "101 S"])
def test_a_stream_with_another_status_is_none(rigged: Rigged, status: str) -> None:
    rigged.answer = lambda tls: tls.sendall(streamed(STREAM, status=status))
    assert refused(ask(rigged.gateway, CHAT, chat("nova", stream=True)))


@pytest.mark.parametrize("status", ["301 M", "302 F", "304 N", "307 T", "600 X"])
def test_nobody_is_led_elsewhere(rigged: Rigged, status: str) -> None:
    """S6."""
    rigged.answer = lambda tls: tls.sendall(whole(SAID, status, "Location: https://evil.example/"))
    told = ask(rigged.gateway, CHAT, chat("nova"))
    assert refused(told)
    assert "location" not in told.headers


@pytest.mark.parametrize("announced", [True, False])
def test_an_answer_too_long_to_be_translated(rigged: Rigged, announced: bool) -> None:
    long = SAID[:-1] + b" " * (33 << 20) + b"}"
    rigged.answer = lambda tls: tls.sendall(whole(long) if announced else streamed(long, kind="application/json"))
    told = ask(rigged.gateway, CHAT, chat("nova"))
    assert refused(told)
    assert "too long" in told.json["error"]["message"]


@pytest.mark.parametrize("stream", [True, False])
def test_an_answer_that_was_compressed_unasked(rigged: Rigged, stream: bool) -> None:
    rigged.answer = lambda tls: tls.sendall(whole(b"\x1f\x8b", "200 OK", "Content-Encoding: gzip"))
    assert refused(ask(rigged.gateway, CHAT, chat("nova", stream=stream)))


def test_who_serves_is_said_once(rigged: Rigged) -> None:
    rigged.answer = lambda tls: tls.sendall(whole(b"{}", "200 OK", "x-llmauth-served-by: another"))
    with Wire(rigged.gateway.port) as wire:
        fields = [("Host", "x"), ("X-API-Key", rigged.gateway.key()), ("Content-Type", "application/json")]
        body = json.dumps(chat("gpt-4o")).encode()
        answer = wire.request("POST", "/openai/openai/chat/completions", fields, body)
    assert answer.values("x-llmauth-served-by") == ["openai"]


@pytest.mark.parametrize("step", range(5))
def test_a_stream_cut_anywhere_never_looks_whole(rigged: Rigged, step: int) -> None:
    """B5: by a polite end of the chunks, and by the end of the connection."""
    for length in range(step, len(STREAM), 35):
        for end in (True, False):
            rigged.answer = partial(_sends, streamed(STREAM[:length], end=end))
            told = ask(rigged.gateway, CHAT, chat("nova", stream=True))
            assert told.cut, (length, end)
            assert "[DONE]" not in told.events, (length, end)


def test_a_provider_quotes_no_prompt_into_the_log(rigged: Rigged) -> None:
    """R: nothing that was said is logged, whoever repeats it."""
    error = {"type": "error", "error": {"type": "invalid_request_error", "message": "'MY PROMPT' is too long"}}
    rigged.answer = lambda tls: tls.sendall(whole(json.dumps(error).encode(), "400 Bad Request"))
    told = ask(rigged.gateway, "/openai/anthropic/chat/completions", chat("claude-x"))
    assert (told.status, "MY PROMPT" in told.json["error"]["message"]) == (400, True)
    assert "MY PROMPT" not in rigged.gateway.log()


def test_who_does_not_read_stops_the_provider(rigged: Rigged) -> None:
    """B4: what a stuck client has not read waits with the provider."""
    sent = [0]
    piece = event("contentBlockDelta", json.dumps({"contentBlockIndex": 0, "delta": {"text": "y" * 8000}}).encode())

    def flood(tls: ssl.SSLSocket) -> None:
        tls.sendall(streamed(event("messageStart", b'{"role":"assistant"}'), end=False))
        while sent[0] < 100 << 20:
            tls.sendall(b"%x\r\n%s\r\n" % (len(piece), piece))
            sent[0] += len(piece)

    rigged.answer = flood
    body = json.dumps(chat("nova", stream=True)).encode()
    head = (
        f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nX-API-Key: {rigged.gateway.key()}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", rigged.gateway.port), timeout=10) as client:
        client.sendall(head.encode() + body)
        assert client.recv(1000)
        settled, before = time.monotonic() + 5, -1
        while sent[0] != before and time.monotonic() < settled:
            before = sent[0]
            time.sleep(0.5)
        assert sent[0] == before < 50 << 20


# 3. HTTP/2.


def test_over_http2_a_stream_that_breaks_off_is_reset(rigged: Rigged) -> None:
    """RST_STREAM and not END_STREAM, after the protocol's own error; what runs beside it is whole."""
    gateway, lock, asked = rigged.gateway, threading.Lock(), []

    def one_of_two(tls: ssl.SSLSocket) -> None:
        with lock:
            asked.append(tls)
            cut = len(asked) == 1
        if cut:
            time.sleep(0.2)
        tls.sendall(streamed(STREAM[:250], end=False) if cut else whole(SAID))

    rigged.answer = one_of_two
    with h2raw.in_tunnel(gateway.port, HOST, gateway.key(), gateway.ca_file) as client:
        broken = _begin(client, chat("nova", stream=True))
        while not asked:
            client.read(0.05)
        whole_one = client.answer(_begin(client, chat("nova")))
        failed = client.answer(broken)
    assert (whole_one.status, whole_one.ended, json.loads(whole_one.body)["object"]) == (200, True, "chat.completion")
    assert (failed.status, failed.ended, failed.reset) == (200, False, 2)
    assert b'{"error":' in failed.body
    assert b"[DONE]" not in failed.body


def test_over_http2_who_resets_its_stream_stops_the_provider(rigged: Rigged) -> None:
    gateway, gone = rigged.gateway, threading.Event()

    def waits(tls: ssl.SSLSocket) -> None:
        tls.sendall(streamed(STREAM[:250], end=False))
        try:
            while tls.recv(10):
                pass
        except OSError:
            pass
        gone.set()

    rigged.answer = waits
    with h2raw.in_tunnel(gateway.port, HOST, gateway.key(), gateway.ca_file) as client:
        number = _begin(client, chat("nova", stream=True))
        client.read_until(lambda: client.streams[number].body)
        client.send(RstStreamFrame(number, error_code=8))
        assert gone.wait(2)


def _begin(client: h2raw.Client, body: Any) -> int:
    number = client.open(h2raw.head("/v1/chat/completions", HOST, method="POST"), end=False)
    client.body(number, json.dumps(body).encode())
    return number


# 4. The gateway ends.


def test_a_translated_stream_is_waited_for_when_the_gateway_stops(
    serve: Callable[..., Serving], emulators: Emulators
) -> None:
    """F4."""
    gateway = serve(models=MODELS)
    gateway.key()
    emulators.behave("bedrock-runtime.us-east-1.amazonaws.com", Behaviour(chunk_delay=0.1, tokens=15))
    told: list[Told] = []
    client = threading.Thread(target=lambda: told.append(ask(gateway, CHAT, chat("nova", stream=True))))
    client.start()
    emulators.wait(lambda requests: len(requests) == 1)
    time.sleep(0.3)
    assert gateway.stop() == 0
    client.join(5)
    assert (told[0].status, told[0].cut, told[0].events[-1]) == (200, False, "[DONE]")


@pytest.mark.parametrize("protocol", ["chat", "messages"])
def test_a_translated_stream_that_takes_too_long_to_end_is_told_why(
    serve: Callable[..., Serving], emulators: Emulators, protocol: str
) -> None:
    """F4: with its protocol's own error, and without the end that it did not have."""
    gateway = serve(models=MODELS, server={"drain_timeout": "1s"})
    gateway.key()
    emulators.behave("bedrock-runtime.us-east-1.amazonaws.com", Behaviour(chunk_delay=0.1, tokens=300))
    body = chat("nova", stream=True) if protocol == "chat" else message("nova", stream=True)
    path = CHAT if protocol == "chat" else "/anthropic/bedrock_us1/v1/messages"
    told: list[Told] = []
    client = threading.Thread(target=lambda: told.append(ask(gateway, path, body)))
    client.start()
    emulators.wait(lambda requests: len(requests) == 1)
    time.sleep(0.3)
    assert gateway.stop() == 0
    client.join(5)
    assert told[0].cut
    assert "shutting down" in told[0].events[-1]["error"]["message"]
    assert not {"[DONE]", "message_stop"} & {*map(str, told[0].events), *told[0].names}


def test_a_translated_stream_that_falls_silent_is_told_so(serve: Callable[..., Serving], emulators: Emulators) -> None:
    gateway = serve(models=MODELS, limits={"answer_silence": "1s"})
    emulators.behave("bedrock-runtime.us-east-1.amazonaws.com", Behaviour(stall_after=700))
    told = ask(gateway, CHAT, chat("nova", stream=True))
    assert told.cut
    assert "took too long" in told.events[-1]["error"]["message"]


SENT_KEY = re.compile(rb"^x-api-key: *(\S+)", re.IGNORECASE | re.MULTILINE)
BAD_KEY = '{"type":"error","error":{"type":"invalid_request_error","message":"bad key %s"}}'


@pytest.mark.parametrize("escaped", [False, True])
@pytest.mark.parametrize("how", ["400", "200", "stream"])
def test_a_refusal_shows_no_credential(
    rigged: Rigged, monkeypatch: pytest.MonkeyPatch, how: str, escaped: bool
) -> None:
    """S10: what a provider repeats of our credential is masked, also where a codec has unescaped it."""
    seen: list[str] = []

    def provider(tls: ssl.SSLSocket) -> None:
        head, _, body = read_request(tls).partition(b"\r\n\r\n")
        length = int(re.findall(rb"(?im)^content-length: *(\d+)", head)[0])
        while len(body) < length:
            body += tls.recv(1 << 20)
        found = SENT_KEY.search(head)
        assert found
        seen.append(found[1].decode())
        error = (BAD_KEY % ("".join(f"\\u{ord(c):04x}" for c in seen[0]) if escaped else seen[0])).encode()
        if how == "stream":
            tls.sendall(streamed(b"event: error\ndata: " + error + b"\n\n", kind="text/event-stream"))
        else:
            tls.sendall(whole(error, "400 Bad Request" if how == "400" else "200 OK"))

    monkeypatch.setattr(rigged, "provider", provider)
    told = ask(rigged.gateway, "/openai/anthropic/chat/completions", chat("claude-x", stream=how == "stream"))
    assert seen
    assert seen[0].encode() not in told.body
    assert b"[redacted]" in told.body
    assert seen[0] not in rigged.gateway.log()
