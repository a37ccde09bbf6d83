"""boto3 with an access-key pair of the gateway's own: the secret never travels, what it signed cannot be changed."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from llmauth.config.stores import open_store
from llmauth.demo.emulators import Emulators
from tests.e2e.clients.sdks import Sdks
from tests.e2e.clients.test_bedrock import CALLS, CLIENTS, PROFILE, SONNET, endpoints
from tests.fixtures.calls import eventually
from tests.fixtures.h2raw import head, in_tunnel
from tests.fixtures.raw import Answer, Wire, tunnel
from tests.fixtures.serving import Serving, start
from tests.llmauth.demo.clients import ClientProblem

RUNTIME = "bedrock-runtime.us-east-1.amazonaws.com"
PATH = f"/model/{SONNET.replace(':', '%3A')}/converse"
BODY = b'{"messages": [{"role": "user", "content": [{"text": "hi"}]}]}'


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, shared_emulators: Emulators) -> Iterator[Serving]:
    auth = {"methods": ["api_key", "sigv4"]}
    serving = start(tmp_path_factory.mktemp("signed"), shared_emulators, auth=auth)
    yield serving
    serving.stop()


@pytest.fixture(scope="module")
def pair(gateway: Serving) -> tuple[str, str]:
    """An access key id and its secret."""
    store = open_store(gateway.settings())
    try:
        _, key_id, secret = store.create_pair("alice-laptop", user="alice")
        made = key_id, secret.reveal()
    finally:
        store.close()
    eventually(lambda: ask(gateway, signed(made)).status == 200, timeout=2.0)  # a second until it is known
    return made


def environ(pair: tuple[str, str]) -> dict[str, str]:
    return dict(zip(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), pair, strict=True))


def by_proxy(gateway: Serving) -> Mapping[str, str]:
    """The proxy without a key: what the SDK signs is all that proves anything."""
    return {"HTTPS_PROXY": gateway.url, "AWS_CA_BUNDLE": str(gateway.bundle)}


@pytest.mark.parametrize("way", ["proxy", "path"])
def test_boto3_signs_with_the_pair(
    sdks: Sdks, gateway: Serving, emulators: Emulators, pair: tuple[str, str], way: str
) -> None:
    led = by_proxy(gateway) if way == "proxy" else endpoints(f"{gateway.url}/transparent/bedrock_us1")
    names: dict[str, Any] = {"key_header": "", "region": "us-east-1", "models": [SONNET, PROFILE]}
    code = CLIENTS + CALLS if way == "proxy" else CLIENTS.replace('client("bedrock")', "None") + _runtime_only(CALLS)
    said = sdks.run(code, {**environ(pair), **led}, **names)
    assert "Hello from the emulated" in said[SONNET][0]
    sent = emulators.requests()
    assert sent
    for request in sent:
        (authorization,) = request.values("authorization")
        assert pair[0].encode() not in authorization
    assert pair[1] not in gateway.log()
    assert {line["user"] for line in gateway.lines("request")[-len(sent) :]} == {"alice"}


def _runtime_only(calls: str) -> str:
    return "\n".join(line for line in calls.splitlines() if "control." not in line)


@pytest.mark.parametrize("spoilt", [("LLMAAAAAAAAAAAAAAAAA", None), (None, "wrong")])
def test_boto3_with_another_pair_is_refused(
    sdks: Sdks, gateway: Serving, emulators: Emulators, pair: tuple[str, str], spoilt: tuple[str | None, str | None]
) -> None:
    other = environ((spoilt[0] or pair[0], spoilt[1] or pair[1]))
    names: dict[str, Any] = {"key_header": "", "region": "us-east-1", "models": [SONNET]}
    with pytest.raises(ClientProblem, match=r"UnrecognizedClient|InvalidSignature|AccessDenied|401|not valid"):
        sdks.run(CLIENTS + CALLS, {**other, **by_proxy(gateway)}, **names)
    assert emulators.requests() == ()


def signed(pair: tuple[str, str], body: bytes = BODY, path: str = PATH) -> list[tuple[str, str]]:
    request = AWSRequest("POST", f"https://{RUNTIME}{path}", {"Content-Type": "application/json"}, body)
    SigV4Auth(Credentials(*pair), "bedrock", "us-east-1").add_auth(request)
    return [("Host", RUNTIME), *((name, value) for name, value in request.headers.items())]


def ask(gateway: Serving, headers: list[tuple[str, str]], body: bytes = BODY, path: str = PATH) -> Answer:
    with tunnel(gateway.port, RUNTIME, None, gateway.ca_file) as wire:
        return wire.request("POST", path, headers, body)


def test_what_was_signed_and_nothing_else(gateway: Serving, emulators: Emulators, pair: tuple[str, str]) -> None:
    good = signed(pair)
    assert ask(gateway, good).status == 200
    assert len(emulators.requests()) == 1
    other = BODY.replace(b"hi", b"ho")
    assert ask(gateway, good, other).status == 401
    assert ask(gateway, good, BODY + b" ").status == 401
    assert ask(gateway, good, path=PATH.replace("sonnet", "haiku")).status == 401
    assert ask(gateway, good, path=PATH + "?x=1").status == 401
    assert len(emulators.requests()) == 1


def test_a_signature_proves_one_request_of_its_connection(
    gateway: Serving, emulators: Emulators, pair: tuple[str, str]
) -> None:
    good = signed(pair)
    with tunnel(gateway.port, RUNTIME, None, gateway.ca_file) as wire:
        assert wire.request("POST", PATH, good, BODY).status == 200
        assert wire.request("POST", PATH, good, BODY).status == 200  # the very same, as AWS takes it too
        assert wire.request("POST", PATH, good, BODY.replace(b"hi", b"ho")).status == 401
    with tunnel(gateway.port, RUNTIME, None, gateway.ca_file) as wire:
        assert wire.request("POST", PATH, good, BODY).status == 200
        assert wire.request("POST", PATH, [("Host", RUNTIME)], BODY).status == 401
    assert len(emulators.requests()) == 3


@pytest.mark.parametrize("path", ["/metrics", "/auth/whoami", "/auth/login", "/auth/logout"])
def test_a_promise_opens_no_door_of_ours(gateway: Serving, pair: tuple[str, str], path: str) -> None:
    """Whoever knows an access key id can write such a head; what it signs is not known before the body is there."""
    forged = [(n, v.replace("Signature=", "Signature=0") if n == "Authorization" else v) for n, v in signed(pair)]
    with Wire(gateway.port) as wire:
        for method in ("GET", "POST"):
            answer = wire.request(method, path, [("Host", "gateway"), *forged[1:]], BODY)
            assert answer.status in (400, 401, 404, 405), answer
            assert pair[0].encode() not in answer.body
            if not answer.complete or "close" in str(answer.headers).lower():
                break


def test_a_long_body_is_held_against_its_signature(gateway: Serving, pair: tuple[str, str]) -> None:
    long = BODY.replace(b"hi", b"h" * 300_000)
    assert ask(gateway, signed(pair, long), long).status == 200
    assert ask(gateway, signed(pair, long), long.replace(b"hh", b"hx", 1)).status == 401


def test_a_revoked_pair_ends(gateway: Serving) -> None:
    store = open_store(gateway.settings())
    try:
        _, key_id, secret = store.create_pair("ends")
        pair = key_id, secret.reveal()
        eventually(lambda: ask(gateway, signed(pair)).status == 200, timeout=2.0)
        store.revoke("ends")
        eventually(lambda: ask(gateway, signed(pair)).status == 401, timeout=2.0)
    finally:
        store.close()


# ---- hostile callers -----------------------------------------------------------------------------------------------


def forged(headers: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """With a signature of the right form that nobody made."""
    return [(n, f"{v[:-64]}{'0' * 64}" if n == "Authorization" else v) for n, v in headers]


def test_a_signature_beside_another_credential(gateway: Serving, emulators: Emulators, pair: tuple[str, str]) -> None:
    good = signed(pair)
    assert ask(gateway, [*good, ("X-API-Key", gateway.key("alice"))]).status == 403
    assert ask(gateway, [*good, ("X-API-Key", gateway.key("bob"))]).status == 403
    for headers, status in ((good, 200), (forged(good), 401)):
        with tunnel(gateway.port, RUNTIME, gateway.key("alice"), gateway.ca_file) as wire:
            assert wire.request("POST", PATH, headers, BODY).status == status
    with tunnel(gateway.port, RUNTIME, gateway.key("bob"), gateway.ca_file) as wire:
        assert wire.request("POST", PATH, good, BODY).status == 403
    assert len(emulators.requests()) == 1


def test_a_signature_of_another_time(
    gateway: Serving, emulators: Emulators, pair: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for minutes, status in ((-6, 401), (-4, 200), (4, 200), (6, 401), (-60 * 24, 401)):
        at = datetime.now(UTC) + timedelta(minutes=minutes)
        monkeypatch.setattr("botocore.auth.get_current_datetime", lambda at=at, **_: at.replace(tzinfo=None))
        assert ask(gateway, signed(pair)).status == status, minutes
    assert len(emulators.requests()) == 2


@pytest.mark.parametrize("slot", ["Proxy-Authorization", "X-API-Key", "api-key", "X-Session-Token"])
def test_a_signature_in_another_place_is_none(
    gateway: Serving, emulators: Emulators, pair: tuple[str, str], slot: str
) -> None:
    moved = [(slot if name == "Authorization" else name, value) for name, value in signed(pair)]
    assert ask(gateway, moved).status == 401
    value = dict(signed(pair))["Authorization"]
    with Wire(gateway.port) as wire:
        fields = [("Host", f"{RUNTIME}:443"), ("Proxy-Authorization", value)]
        assert wire.request("CONNECT", f"{RUNTIME}:443", fields).status == 407
    assert emulators.connections == ()


def test_a_body_in_pieces_is_held_against_its_signature(
    gateway: Serving, emulators: Emulators, pair: tuple[str, str]
) -> None:
    good = [*signed(pair), ("Transfer-Encoding", "chunked")]
    lines = [f"POST {PATH} HTTP/1.1", *(f"{name}: {value}" for name, value in good), "", ""]
    for body, status in ((BODY, 200), (BODY[:-1], 401), (BODY + b" ", 401), (b"", 401)):
        pieces = [body[at : at + 9] for at in range(0, len(body), 9)]
        data = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
        with tunnel(gateway.port, RUNTIME, None, gateway.ca_file) as wire:
            assert wire.send("\r\n".join(lines).encode() + data).answer().status == status
    assert [seen.body for seen in emulators.requests()] == [BODY]


def test_a_body_that_does_not_come_is_never_sent_on(
    gateway: Serving, emulators: Emulators, pair: tuple[str, str]
) -> None:
    lines = [f"POST {PATH} HTTP/1.1", *(f"{n}: {v}" for n, v in signed(pair)), f"Content-Length: {len(BODY)}", "", ""]
    with tunnel(gateway.port, RUNTIME, None, gateway.ca_file) as wire:
        wire.send("\r\n".join(lines).encode() + BODY[:-1])
        time.sleep(0.1)
    assert emulators.requests() == ()


@pytest.mark.parametrize("length", [None, "0", "right"])
def test_over_http2_a_body_is_held_against_its_signature(
    gateway: Serving, emulators: Emulators, pair: tuple[str, str], length: str | None
) -> None:
    """There a body needs no announcement, and may come where a length of nothing was announced."""
    fields: list[tuple[str | bytes, str | bytes]] = [
        (name.lower(), value) for name, value in signed(pair) if name != "Host"
    ]
    if length is not None:
        fields.append(("content-length", length.replace("right", str(len(BODY)))))
    for body in (BODY, BODY.replace(b"hi", b"ho"), b""):
        with in_tunnel(gateway.port, RUNTIME, None, gateway.ca_file) as client:
            stream = client.open(head(PATH, RUNTIME, *fields, method="POST"), end=not body)
            if body:
                client.body(stream, body)
            answer = client.answer(stream)
            wanted = 200 if body == BODY and length != "0" else None
            assert answer.status == wanted or (wanted is None and answer.status in (None, 400, 401)), body
    assert {seen.body for seen in emulators.requests()} <= {BODY}


@pytest.mark.parametrize("length", [(), (("content-length", "0"),)])
def test_over_http2_the_signature_of_no_body_is_not_that_of_one_that_follows(
    gateway: Serving, emulators: Emulators, pair: tuple[str, str], length: tuple[tuple[str, str], ...]
) -> None:
    nothing = [(name.lower(), value) for name, value in signed(pair, b"") if name != "Host"]
    with in_tunnel(gateway.port, RUNTIME, None, gateway.ca_file) as client:
        stream = client.open(head(PATH, RUNTIME, *nothing, *length, method="POST"), end=False)
        assert client.body(stream, BODY).answer(stream).status in (None, 400, 401)
    assert emulators.requests() == ()


def test_what_the_caller_signed_with_does_not_go_on(
    gateway: Serving, emulators: Emulators, pair: tuple[str, str]
) -> None:
    more = [("X-Amz-Content-SHA256", sha256(BODY).hexdigest())]
    request = AWSRequest("POST", f"https://{RUNTIME}{PATH}", {"Content-Type": "application/json", **dict(more)}, BODY)
    SigV4Auth(Credentials(*pair), "bedrock", "us-east-1").add_auth(request)
    assert ask(gateway, [("Host", RUNTIME), *request.headers.items()]).status == 200
    (seen,) = emulators.requests()
    for name in ("authorization", "x-amz-date"):
        assert len(seen.values(name)) == 1
    assert seen.values("authorization") != [request.headers["Authorization"].encode()]
    assert pair[0].encode() not in seen.head


def test_a_pair_that_owes_a_second_factor_is_not_let_in(gateway: Serving, emulators: Emulators) -> None:
    store = open_store(gateway.settings())
    try:
        _, key_id, secret = store.create_pair("owes", require_totp=True)
    finally:
        store.close()
    eventually(lambda: ask(gateway, signed((key_id, secret.reveal()))).status == 403, timeout=2.0)
    assert emulators.requests() == ()
