"""S5, S6, S8, S9, S11: a credential leaves on a verified connection to its own provider, or the request does not."""

from __future__ import annotations

import dataclasses
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from llmauth.config.problems import ConfigError
from llmauth.demo.behaviour import Behaviour
from llmauth.demo.certificates import Certificate
from llmauth.demo.credentials import DemoCredentials
from llmauth.demo.emulators import Emulators
from tests.fixtures.master import Running, run
from tests.fixtures.raw import Answer, Wire, tunnel
from tests.fixtures.serving import free_port

Start = Callable[..., Running]

OPENAI = "api.openai.com"
ANTHROPIC = "api.anthropic.com"
BEDROCK = "bedrock-runtime.us-east-1.amazonaws.com"
CONTROL = "bedrock.us-east-1.amazonaws.com"

# Host, native path, and the path's first part at the gateway's door.
ROUTES = {
    "openai": (OPENAI, "/v1/chat/completions", b'{"model":"gpt-4o","messages":[{"role":"user","content":"hi"}]}'),
    "anthropic": (
        ANTHROPIC,
        "/v1/messages",
        b'{"model":"claude-sonnet-4-5","max_tokens":9,"messages":[{"role":"user","content":"hi"}]}',
    ),
    "bedrock": (
        BEDROCK,
        "/model/anthropic.claude-3-haiku-20240307-v1%3A0/converse",
        b'{"messages":[{"role":"user","content":[{"text":"hi"}]}]}',
    ),
}
DOORS = ("path", "tunnel")
EVERY_WAY = [(route, door) for route in ROUTES for door in DOORS]


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Start]:
    """Starts gateways of the test's own."""
    running: list[Running] = []

    def start(emulators: Emulators, **sections: Any) -> Running:
        folder = tmp_path / str(len(running))
        folder.mkdir()
        running.append(run(folder, emulators, **sections))
        return running[-1]

    yield start
    for each in running:
        each.stop()


def ask(running: Running, route: str, door: str, *fields: tuple[str, str], method: str = "POST") -> Answer:
    host, path, body = ROUTES[route]
    headers = [("Content-Type", "application/json"), ("anthropic-version", "2023-06-01"), *fields]
    if door == "path":
        with Wire(running.port) as wire:
            proof = [("Host", "gateway"), ("X-API-Key", running.key)]
            return wire.request(method, f"/transparent/{route}{path}", proof + headers, body)
    with tunnel(running.port, host, running.key, running.ca_file) as wire:
        return wire.request(method, path, [("Host", host), *headers], body)


def error(answer: Answer) -> str:
    return answer.body.decode() + str(answer.headers)


# ---- the provider's certificate (S5) -------------------------------------------------------------------------------


@pytest.mark.parametrize("certificate", [kind for kind in Certificate if kind is not Certificate.VALID])
def test_a_bad_certificate_gets_no_byte_of_a_request(begin: Start, certificate: Certificate) -> None:
    with Emulators(certificate=certificate) as emulators:
        running = begin(emulators)
        for route, door in EVERY_WAY:
            answer = ask(running, route, door)
            assert answer.status == 502, (route, door)
            assert answer.header("x-llmauth-fault") == "provider"
            assert "certificate" in answer.body.decode()
        assert len(emulators.connections) == len(EVERY_WAY)
        assert _soon(lambda: all(connected.fault for connected in emulators.connections))
        assert emulators.requests() == ()


def _soon(condition: Callable[[], bool]) -> bool:
    ends = time.monotonic() + 2
    while not condition() and time.monotonic() < ends:
        time.sleep(0.005)
    return condition()


def test_a_certificate_for_another_provider_is_bad_too(begin: Start) -> None:
    """One provider's certificate, or its key, must not do for another's credential."""
    with Emulators(regions=()) as one, Emulators() as all_of_them:
        resolve = {**all_of_them.resolve, BEDROCK: f"127.0.0.1:{one.port}"}
        running = begin(one, upstream={"resolve": resolve})
        assert ask(running, "bedrock", "path").status == 502
        assert ask(running, "bedrock", "tunnel").status == 502
        assert one.requests() == ()


def test_a_provider_without_tls_gets_no_byte_of_a_request(begin: Start) -> None:
    with _Listener(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") as listener, Emulators() as emulators:
        running = begin(emulators, upstream={"resolve": {OPENAI: f"127.0.0.1:{listener.port}"}})
        for door in DOORS:
            assert ask(running, "openai", door).status == 502
        assert listener.received
        assert all(data.startswith(b"\x16\x03") for data in listener.received)  # a TLS hello, and nothing else
        assert not any(b"Bearer" in data for data in listener.received)


def test_a_provider_that_hangs_up_gets_no_byte_of_a_request(begin: Start) -> None:
    with _Listener(b"") as listener, Emulators() as emulators:
        running = begin(emulators, upstream={"resolve": {OPENAI: f"127.0.0.1:{listener.port}"}})
        assert ask(running, "openai", "path").status == 502
        assert all(data.startswith(b"\x16\x03") for data in listener.received)


def test_a_provider_that_is_not_there_is_told(begin: Start) -> None:
    with Emulators() as emulators:
        running = begin(emulators, upstream={"resolve": {OPENAI: f"127.0.0.1:{free_port()}"}})
        answer = ask(running, "openai", "path")
        assert answer.status == 502
        assert json.loads(answer.body)["error"]["code"] == "provider_unreachable"


class _Listener:
    """Keeps the first bytes of each connection, answers with some of its own, and hangs up."""

    def __init__(self, answer: bytes) -> None:
        self.received: list[bytes] = []
        self._answer = answer
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def _serve(self) -> None:
        while True:
            try:
                peer, _ = self._socket.accept()
            except OSError:
                return
            with peer:
                self.received.append(peer.recv(65536))
                peer.sendall(self._answer)

    def __enter__(self) -> _Listener:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()


# ---- the provider's address (S8) -----------------------------------------------------------------------------------


def _at_localhost(emulators: Emulators) -> dict[str, object]:
    return {"openai": {"type": "openai", "base_url": f"https://localhost:{emulators.port}/v1"}}


def test_a_name_that_leads_to_a_private_address_is_not_dialled(begin: Start) -> None:
    with Emulators(aliases={"localhost": OPENAI}) as emulators:
        running = begin(emulators, instances=_at_localhost(emulators))
        answer = ask(running, "openai", "path")
        assert answer.status == 502
        assert "upstream.allow_private" in answer.body.decode()
        assert emulators.connections == ()


def test_a_private_address_is_dialled_when_its_name_is_allowed(begin: Start) -> None:
    with Emulators(aliases={"localhost": OPENAI}) as emulators:
        running = begin(emulators, instances=_at_localhost(emulators), upstream={"allow_private": ["localhost"]})
        assert ask(running, "openai", "path").status == 200
        assert emulators.requests()[0].sni == "localhost"


def test_the_gateway_does_not_dial_itself(begin: Start) -> None:
    port = free_port()
    with Emulators() as emulators:
        running = begin(
            emulators,
            server={"port": port},
            instances={"openai": {"type": "openai", "base_url": f"https://localhost:{port}/v1"}},
            upstream={"allow_private": ["localhost"]},
        )
        with Wire(port, timeout=3) as wire:
            headers = [("Host", "gateway"), ("X-API-Key", running.key)]
            assert wire.request("GET", "/transparent/openai/v1/models", headers).status == 502


@pytest.mark.parametrize(
    "base_url",
    [
        "http://api.openai.com/v1",
        "https://127.0.0.1/v1",
        "https://127.1/v1",
        "https://2130706433/v1",
        "https://0x7f000001/v1",
        "https://[::1]/v1",
        "https://[::ffff:127.0.0.1]/v1",
        "https://user:secret-of-mine@api.openai.com/v1",
        "https://api.openai.com@evil.example/v1",
        "https://api.openai.com:0/v1",
        "https:///v1",
        "https://api openai.com/v1",
        "https://api.openai.com/v1?x",
        "https://api.openai.com/v1#x",
        "https://*.openai.com/v1",
        "ftp://api.openai.com/",
        "//api.openai.com/v1",
        "api.openai.com",
    ],
)
def test_a_base_url_that_cannot_be_bound_to_a_host_keeps_the_server_from_starting(
    begin: Start, shared_emulators: Emulators, base_url: str
) -> None:
    with pytest.raises(ConfigError) as failed:
        begin(shared_emulators, instances={"openai": {"type": "openai", "base_url": base_url}})
    assert "base_url" in str(failed.value)
    assert "secret-of-mine" not in str(failed.value)


# ---- credentials (S11) ---------------------------------------------------------------------------------------------


def test_without_a_credential_nothing_is_sent(begin: Start, emulators: Emulators) -> None:
    running = begin(emulators, environ={"AWS_EC2_METADATA_DISABLED": "true"})
    for route, door in EVERY_WAY:
        answer = ask(running, route, door, ("Authorization", "Bearer sk-of-the-client"))
        assert answer.status == 500, (route, door)
        assert "Cannot authenticate to provider" in answer.body.decode()
        assert answer.header("x-llmauth-fault") == "proxy"
    assert b"credential_unavailable" in ask(running, "openai", "path").body
    assert emulators.connections == ()


def test_an_empty_credential_is_none(begin: Start, emulators: Emulators) -> None:
    environ = {"OPENAI_API_KEY": "", "ANTHROPIC_API_KEY": " ", "AWS_EC2_METADATA_DISABLED": "true"}
    running = begin(emulators, environ={**environ, "AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""})
    for route, door in EVERY_WAY:
        assert ask(running, route, door).status == 500, (route, door)
    assert emulators.connections == ()


def test_a_credential_that_the_provider_refuses_is_not_the_callers_fault(begin: Start) -> None:
    with Emulators() as emulators:
        running = begin(emulators)
        refusing = DemoCredentials.random()
        emulators.credentials = refusing
        for route, door in EVERY_WAY:
            answer = ask(running, route, door)
            assert answer.status == 502, (route, door, answer)
            assert answer.header("x-llmauth-fault") == "proxy"
            assert answer.values("www-authenticate") == []
            assert "It is not your key" in answer.body.decode()
            (seen,) = emulators.requests()
            assert seen.status in (401, 403)
            assert json.loads(seen.sent_body) != json.loads(answer.body)
            emulators.clear()
        assert b"credential_rejected" in ask(running, "openai", "path").body


@pytest.mark.parametrize("status", [400, 404, 429, 500, 503, 529])
def test_other_errors_of_the_provider_pass(begin: Start, emulators: Emulators, status: int) -> None:
    running = begin(emulators)
    emulators.behave(OPENAI, Behaviour(status=status))
    answer = ask(running, "openai", "path")
    assert answer.status == status
    assert answer.body == emulators.requests()[0].sent_body


# ---- what providers say (S6) ---------------------------------------------------------------------------------------

ELSEWHERE = "https://evil.example/v1/chat/completions"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("door", DOORS)
def test_a_redirect_is_passed_back_and_not_followed(begin: Start, status: int, door: str) -> None:
    with Emulators(echo_hosts=["evil.example"]) as emulators:
        running = begin(emulators)
        for target in (ELSEWHERE, f"https://{ANTHROPIC}/v1/messages", "/v1/models"):
            fields = ((b"location", target.encode()), (b"refresh", b"0;url=" + target.encode()))
            emulators.behave(OPENAI, Behaviour(status=status, fields=fields))
            answer = ask(running, "openai", door)
            assert answer.status == status
            assert answer.header("location") == target
        assert {seen.host for seen in emulators.requests()} == {OPENAI}
        assert len(emulators.requests()) == 3


def test_nothing_a_provider_says_changes_where_the_next_request_goes(begin: Start) -> None:
    with Emulators(echo_hosts=["evil.example"]) as emulators:
        running = begin(emulators)
        fields = (
            (b"alt-svc", b'h2="evil.example:443"; ma=86400; persist=1'),
            (b"link", b"<https://evil.example/>; rel=preconnect"),
            (b"set-cookie", b"session=of-the-first-client; Path=/"),
            (b"content-location", ELSEWHERE.encode()),
            (b"www-authenticate", b"Bearer"),
        )
        emulators.behave(OPENAI, Behaviour(fields=fields))
        with Wire(running.port) as wire:
            for _ in range(2):
                headers = [("Host", "gateway"), ("X-API-Key", running.key)]
                assert wire.request("GET", "/transparent/openai/v1/models", headers).status == 200
        assert ask(running, "openai", "tunnel").status == 200
        assert {seen.host for seen in emulators.requests()} == {OPENAI}
        assert {connected.sni for connected in emulators.connections} == {OPENAI}
        assert all(seen.values("cookie") == [] for seen in emulators.requests())


# ---- strip, then set (S9) ------------------------------------------------------------------------------------------

MARK = "of-the-client"
CLIENT_CREDENTIALS = (
    *("Authorization", "X-Api-Key", "Api-Key", "X-Goog-Api-Key", "X_Api_Key", "API_KEY", "x_goog_api_key", "X-Api_Key"),
    *("Proxy-Authorization", "Proxy_Authorization", "Proxy-Connection", "Proxy-Authenticate", "Proxy-Anything"),
    *(
        "X-TOTP-Code",
        "X_TOTP_Code",
        "X-Amz-Date",
        "X-Amz-Security-Token",
        "X_Amz_Security_Token",
        "X-Amz-Content-SHA256",
    ),
    *("Ocp-Apim-Subscription-Key", "X-Amzn-Oidc-Data", "X-Amzn-Oidc-Identity", "X-Amzn-Oidc-Accesstoken"),
    *("Keep-Alive", "TE", "Trailer", "HTTP2-Settings", "Sec-WebSocket-Protocol"),
)


@pytest.mark.parametrize(("route", "door"), EVERY_WAY)
def test_every_credential_of_the_client_is_taken_off(begin: Start, emulators: Emulators, route: str, door: str) -> None:
    running = begin(emulators)
    for name in CLIENT_CREDENTIALS:
        if door == "path" and name.lower() in ("x-api-key", "proxy-authorization"):
            continue  # there the key stands, or the proxy's own credential is asked for
        emulators.clear()
        answer = ask(running, route, door, (name, MARK))
        if answer.status == 407:
            continue
        assert answer.status in (200, 401), (name, answer)
        for seen in emulators.requests():
            assert MARK.encode() not in seen.head, name
            assert running.key.encode() not in seen.head
            assert len(_credentials(seen.headers)) == 1


def _credentials(headers: tuple[tuple[bytes, bytes], ...]) -> list[bytes]:
    return [name for name, _ in headers if name.lower() in (b"authorization", b"x-api-key")]


@pytest.mark.parametrize("query", ["?key={key}", "?a=1&key={key}&b=%2F", "?key={encoded}", "?k%65y={key}"])
def test_a_key_in_the_query_is_cut_out(begin: Start, emulators: Emulators, query: str) -> None:
    running = begin(emulators)
    encoded = "".join(f"%{ord(letter):02X}" for letter in running.key)
    path = "/transparent/openai/v1/models" + query.format(key=running.key, encoded=encoded)
    with Wire(running.port) as wire:
        assert wire.request("GET", path, [("Host", "gateway")]).status == 200
    (seen,) = emulators.requests()
    assert running.key.encode() not in seen.head
    assert encoded.encode() not in seen.head
    if "a=1" in query:
        assert seen.target == b"/v1/models?a=1&b=%2F"


def test_a_signature_of_the_client_is_replaced_whole(begin: Start, emulators: Emulators) -> None:
    running = begin(emulators)
    signature = (
        (
            "Authorization",
            "AWS4-HMAC-SHA256 Credential=AKIAOFTHECLIENT/20260101/us-east-1/bedrock/aws4_request, "
            "SignedHeaders=host;x-amz-date, Signature=" + "0" * 64,
        ),
        ("X-Amz-Date", "20260101T000000Z"),
        ("X-Amz-Security-Token", "token-of-the-client"),
        ("Date", "Thu, 01 Jan 2026 00:00:00 GMT"),
    )
    for door in DOORS:
        emulators.clear()
        assert ask(running, "bedrock", door, *signature).status == 200
        (seen,) = emulators.requests()
        for left in (b"AKIAOFTHECLIENT", b"20260101", b"token-of-the-client"):
            assert left not in seen.head
        assert seen.values("x-amz-security-token") == [str(emulators.credentials.aws_session_token).encode()]


def test_the_emulators_do_refuse_what_is_not_theirs(begin: Start) -> None:
    """Otherwise the statuses above would prove nothing."""
    with Emulators() as emulators:
        running = begin(emulators)
        assert ask(running, "openai", "path").status == 200
        emulators.credentials = dataclasses.replace(emulators.credentials, openai_key="sk-another")
        assert ask(running, "openai", "path").status == 502
