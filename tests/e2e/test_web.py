"""`llmauth serve --web` over real sockets: every request can be seen, in flight as well, and no credential ever."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest

from llmauth.demo.behaviour import Behaviour
from llmauth.demo.credentials import DemoCredentials
from llmauth.demo.emulators import Emulators
from tests.e2e.test_second_factor import code, enrolled, log_in
from tests.fixtures.calls import JSON, OPENAI, STREAM, begin, call, eventually, get, memory, seconds
from tests.fixtures.raw import Wire, basic, tunnel
from tests.fixtures.serving import Serving, free_port, provider_environment, start
from tests.fixtures.sockets import handshake, opened
from tests.fixtures.webpage import Listener, Said, ask, by_token, everything

ANTHROPIC = "api.anthropic.com"
IBM = "iam.cloud.ibm.com"
INSTANCES = {
    "openai": {"type": "openai", "websocket": True},
    "anthropic": {"type": "anthropic"},
    "bedrock_us1": {"type": "bedrock", "region": "us-east-1", "default": True},
    "ibm": {"type": "ibm"},
}


@dataclass
class Watched:
    """A gateway with its page."""

    gateway: Serving
    port: int
    token: str

    def get(self, path: str) -> Said:
        return ask(self.port, "GET", path, by_token(self.token))

    def flows(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.get("/flows.json").json
        return found

    def of(self, path: str) -> dict[str, Any]:
        """The last flow whose path ends so, as soon as there is one."""
        eventually(lambda: any(one["request"]["path"].endswith(path) for one in self.flows()))
        return next(one for one in reversed(self.flows()) if one["request"]["path"].endswith(path))

    def body(self, flow: dict[str, Any], part: str = "response") -> bytes:
        return self.get(f"/flows/{flow['id']}/{part}/content.data").body

    def told(self, flow: dict[str, Any]) -> str:
        text: str = self.get(f"/flows/{flow['id']}/request/content/llm%20proxy%20auth.json").json["text"]
        return text


@pytest.fixture(scope="module")
def providers() -> Iterator[Emulators]:
    with Emulators(credentials=DemoCredentials.random(session=True), pace=0.002, tokens=12) as providers:
        yield providers


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory, providers: Emulators) -> Iterator[Watched]:
    port = free_port()
    gateway = start(
        tmp_path_factory.mktemp("web"),
        providers,
        options=["--web", "--web-port", str(port)],
        instances=INSTANCES,
        environ={**provider_environment(providers), "WATSONX_APIKEY": providers.credentials.ibm_api_key},
    )
    gateway.key()
    text = (gateway.home / "web-token").read_text()
    yield Watched(gateway, port, text.strip().partition("?token=")[2])
    assert gateway.stop() == 0
    assert not (gateway.home / "web-token").exists()


@pytest.fixture(autouse=True)
def ordinary(providers: Emulators) -> Iterator[None]:
    providers.clear()
    yield
    providers.clear()


def test_no_credential_is_ever_shown(page: Watched, providers: Emulators) -> None:
    """Of no caller and no provider: at any door, in any place of a request or an answer, in flight and afterwards."""
    gateway, key, given = page.gateway, page.gateway.key(), providers.credentials
    factor_key, enrolment = enrolled(gateway, "web-factor")
    totp = code(enrolment)
    canaries = {
        "client key": key,
        "its secret": key.rpartition("_")[2],
        "proxy password": basic(key).partition(" ")[2],
        "key with a factor": factor_key.rpartition("_")[2],
        "second factor": totp,
        "seed": enrolment.secret.reveal(),
        "openai": given.openai_key,
        "anthropic": given.anthropic_key,
        "aws id": given.aws_access_key_id,
        "aws secret": given.aws_secret_access_key,
        "aws session": given.aws_session_token or "missing",
        "signature": "Signature=",
        "scope": "Credential=",
        "in json": "canary-in-json",
        "in a form": "canary-in-form",
        "in a query": "canary-in-query",
        "in a cookie": "canary-in-cookie",
        "in an odd header": "canary-in-header",
        "set by a provider": "canary-set-cookie",
        "ibm": given.ibm_api_key,
        "placeholder of an sdk": "canary-placeholder",
    }
    listener = Listener(page.port, by_token(page.token))
    with ExitStack() as stack:
        own = ("X-API-Key", key)
        # In flight, while nothing was answered yet.
        providers.behave(OPENAI, Behaviour(hang=True))
        hanging = stack.enter_context(Wire(gateway.port))
        secret = json.dumps(
            {"model": "gpt-4o", "messages": [], "api_key": "canary-in-json", "say": "in flight"}
        ).encode()
        begin(gateway, hanging, secret)
        providers.wait(lambda seen: any(one.status is None for one in seen))
        eventually(lambda: b"in flight" in everything(page.port, page.token))
        (flow,) = [one for one in page.flows() if one.get("response") is None]
        assert "running" in flow["comment"]
        during = everything(page.port, page.token)
        # In the middle of a stream.
        providers.behave(OPENAI, Behaviour(stall_after=400))
        streaming = stack.enter_context(Wire(gateway.port))
        begin(gateway, streaming, STREAM)
        eventually(lambda: any(one.get("response") and "running" in one["comment"] for one in page.flows()))
        during += everything(page.port, page.token)
        # Every door, and every slot of a credential.
        assert call(gateway).status == 200
        with tunnel(gateway.port, ANTHROPIC, key, gateway.ca_file) as wire:
            fields = [
                ("Host", ANTHROPIC),
                ("x-api-key", "canary-placeholder-of-sdk"),
                ("anthropic-version", "2023-06-01"),
                JSON,
            ]
            body = b'{"model": "claude-sonnet-5", "max_tokens": 9, "messages": [{"role": "user", "content": "%s"}]}'
            assert wire.request("POST", "/v1/messages", fields, body % key.encode()).status == 200
        with Wire(gateway.port) as wire:
            path = "/transparent/bedrock_us1/model/anthropic.claude-3-sonnet-20240229-v1:0/converse"
            asked = b'{"messages": [{"role": "user", "content": [{"text": "hello"}]}]}'
            assert wire.request("POST", path, [("Host", "x"), own, JSON], asked).status == 200
        with Wire(gateway.port) as wire:
            wire.request(
                "GET",
                "http://example.invalid/a?token=canary-in-query",
                [("Host", "example.invalid"), ("Proxy-Authorization", basic(key))],
            )
        assert get(gateway, f"/transparent/openai/v1/models?key={key}").status == 200
        get(gateway, "/transparent/openai/v1/models?api-token=canary-in-query&limit=3", own)
        get(gateway, f"/transparent/openai/v1/models/{key.replace('_', '%5F')}", own)
        get(
            gateway,
            "/transparent/openai/v1/models",
            own,
            ("Cookie", "a=canary-in-cookie"),
            ("X-My-Token", "canary-in-header"),
        )
        form = b"grant_type=x&client_secret=canary-in-form&say=formed"
        with Wire(gateway.port) as wire:
            wire.request(
                "POST",
                "/transparent/openai/v1/files",
                [("Host", "x"), own, ("Content-Type", "application/x-www-form-urlencoded")],
                form,
            )
        get(gateway, "/transparent/openai/v1/models", ("X-API-Key", factor_key), ("X-TOTP-Code", totp))
        told = log_in(gateway, api_key=factor_key, totp_code=code(enrolment, 1))
        assert told.status == 200
        session = json.loads(told.body)["session_token"]
        canaries["session"] = session
        assert get(gateway, "/transparent/openai/v1/models?limit=9", ("X-Session-Token", session)).status == 200
        with tunnel(gateway.port, IBM, None, gateway.ca_file) as wire:
            form = f"grant_type=urn:ibm:params:oauth:grant-type:apikey&apikey={key}".encode()
            fields = [("Host", IBM), ("Content-Type", "application/x-www-form-urlencoded")]
            answer = wire.request("POST", "/identity/token", fields, form)
            assert answer.status == 200
            canaries["token for an sdk"] = json.loads(answer.body)["access_token"]
        offered = ("Sec-WebSocket-Protocol", f"realtime, openai-insecure-api-key.{key}")
        socket, _ = opened(Wire(gateway.port), "/transparent/openai/v1/realtime?model=gpt-realtime", handshake(offered))
        stack.callback(socket.wire.close)
        # A provider that repeats what it heard.
        coded = base64.b64encode(given.openai_key.encode()).decode()
        echo = json.dumps(
            {"error": {"message": f"wrong: {given.openai_key}", "again": coded}, "access_token": "canary-in-json"}
        )
        repeated = ((b"Set-Cookie", b"s=canary-set-cookie"), (b"X-Echo", given.openai_key.encode()))
        providers.behave(OPENAI, Behaviour(body=echo.encode(), fields=repeated))
        call(gateway)
        canaries["coded"] = coded
        eventually(lambda: "/v1/models?limit=9" in json.dumps(page.flows()))
        time.sleep(0.3)
        during += everything(page.port, page.token)
    time.sleep(0.5)
    listener.close()
    heard = b"\n".join(listener.heard)
    found = everything(page.port, page.token)
    for shown in (during, heard, found):
        assert b"api.openai.com" in shown
    assert b"formed" in found
    assert b"hello" in found, "what was said is to be seen"
    assert b"canary-in-cookie" not in heard
    for name, canary in canaries.items():
        for where, shown in (("in flight", during), ("as it happened", heard), ("afterwards", found)):
            assert canary.encode() not in shown, f"{name}, {where}"
    log = gateway.log()
    assert page.token not in log
    assert not [line for line in gateway.lines() if line["level"] == "ERROR"]
    assert not gateway.lines("A flow cannot be shown")


def test_our_decisions_stand_beside_each_flow(page: Watched) -> None:
    gateway = page.gateway
    answer = call(gateway)
    flow = _by_request_id(page, answer.header("x-request-id") or "")
    assert flow["comment"].startswith("test → openai")
    told = page.told(flow)
    for router in ("auth", "mode", "model", "provider", "credential", "vault"):
        assert f"  - {router}: " in told
    for part in (
        "user: test\n",
        "instance: openai\n",
        "strategy: environment\n",
        "  - authorization: replaced\n",
        "in all: ",
    ):
        assert part in told
    refused = get(gateway, "/transparent/openai/v1/models", ("X-API-Key", "llmauth_abcdefghij_wrong"))
    flow = _by_request_id(page, refused.header("x-request-id") or "")
    assert (flow["marked"], flow["response"]["status_code"]) == ("⛔", 401)
    assert "fault: caller\n" in page.told(flow)


def _by_request_id(page: Watched, number: str) -> dict[str, Any]:
    def found() -> list[dict[str, Any]]:
        return [one for one in page.flows() if f"id: {number}\n" in one["comment"] and "state: over" in one["comment"]]

    eventually(lambda: bool(found()))
    return found()[0]


def test_what_a_client_writes_is_text(page: Watched) -> None:
    """It stands in JSON with a content type of its own, and is shown by a page that runs no script but its own."""
    evil = "/v1/models/<img/src=x/onerror=alert(1)>"
    assert get(page.gateway, evil, ("X-API-Key", page.gateway.key())).status == 404
    page.of(evil)
    said = page.get("/flows.json")
    assert said.headers["Content-Type"].startswith("application/json")
    assert said.headers["X-Content-Type-Options"] == "nosniff"
    assert "default-src 'self'" in said.headers["Content-Security-Policy"]


def test_a_stream_is_not_delayed_and_not_kept_whole(page: Watched, providers: Emulators) -> None:
    gateway = page.gateway
    line = b"data: " + b"x" * 1000 + b"\n\n"
    call(gateway)
    before = memory(gateway.process.pid)
    providers.behave(OPENAI, Behaviour(body=line * 20_000, fields=((b"Content-Type", b"text/event-stream"),)))
    with Wire(gateway.port, timeout=20) as wire:
        answer = begin(gateway, wire, STREAM).answer()
    assert len(answer.body) == len(line) * 20_000
    flow = _by_request_id(page, answer.header("x-request-id") or "")
    assert len(page.body(flow)) < 300_000
    assert b"20,160,000 bytes in all" in page.body(flow)
    assert memory(gateway.process.pid) - before < 40_000_000
    providers.behave(OPENAI, Behaviour(stall_after=200))
    with Wire(gateway.port) as wire:
        assert seconds(lambda: begin(gateway, wire, STREAM).read()) < 1.0
        eventually(lambda: any("running" in one["comment"] and one.get("response") for one in page.flows()))


def test_nobody_is_led_to_the_page(page: Watched) -> None:
    """S8, A9: it stands on loopback, and callers are no viewers."""
    with Wire(page.gateway.port) as wire:
        assert wire.connect(f"127.0.0.1:{page.port}", page.gateway.key()).status == 403
    with Wire(page.gateway.port) as wire:
        fields = [("Host", f"127.0.0.1:{page.port}"), ("Proxy-Authorization", basic(page.gateway.key()))]
        assert wire.request("GET", f"http://127.0.0.1:{page.port}/flows", fields).status == 403


def test_nothing_on_it_reaches_a_request(page: Watched, providers: Emulators) -> None:
    """What runs goes on, whatever is tried."""
    gateway = page.gateway
    providers.behave(OPENAI, Behaviour(first_byte_delay=1.0))
    with Wire(gateway.port) as wire:
        begin(gateway, wire)
        eventually(lambda: any(one.get("response") is None for one in page.flows()))
        for flow in page.flows():
            for method, path in (("DELETE", ""), ("POST", "/kill"), ("POST", "/replay"), ("PUT", "")):
                said = ask(
                    page.port, method, f"/flows/{flow['id']}{path}", by_token(page.token), {"request": {"host": "x"}}
                )
                assert said.status == 403
        assert wire.answer().status == 200
    assert {one.host for one in providers.requests()} <= {OPENAI, IBM}
