"""S9, R1 to R4: every secret of a busy gateway is looked for where it must not be, in every form that comes to mind."""

from __future__ import annotations

import base64
import contextlib
import json
import secrets as random
import shutil
import ssl
import stat
import string
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import pytest

from llmauth.demo.behaviour import Behaviour, Cut
from llmauth.demo.credentials import DemoCredentials
from llmauth.demo.emulators import Emulators
from tests.fixtures.hello import start_tls_as
from tests.fixtures.leaks import found
from tests.fixtures.raw import Answer, Wire, basic, tunnel
from tests.fixtures.serving import Serving, start

OPENAI = "api.openai.com"
ANTHROPIC = "api.anthropic.com"
BEDROCK = "bedrock-runtime.us-east-1.amazonaws.com"
STRANGER = "evil.example"

CHAT = b'{"model":"gpt-4o","messages":[{"role":"user","content":"PROMPT"}]}'
MESSAGES = b'{"model":"claude-sonnet-4-5","max_tokens":9,"messages":[{"role":"user","content":"PROMPT"}]}'
CONVERSE = b'{"messages":[{"role":"user","content":[{"text":"PROMPT"}]}]}'
NATIVE = {
    OPENAI: ("openai", "/v1/chat/completions", CHAT),
    ANTHROPIC: ("anthropic", "/v1/messages", MESSAGES),
    BEDROCK: ("bedrock_us1", "/model/anthropic.claude-3-haiku-20240307-v1%3A0/converse", CONVERSE),
}


def canary(name: str) -> str:
    """A text that appears nowhere by chance."""
    return name + "".join(random.choice(string.ascii_letters) for _ in range(24))


@dataclass
class Busy:
    """A gateway after much traffic: what it logged, what it answered by itself, and what was sent where."""

    gateway: Serving
    emulators: Emulators
    key: str
    placeholder: str
    prompt: str
    refusals: list[Answer] = field(default_factory=list)
    own: list[Answer] = field(default_factory=list)

    def secrets(self) -> dict[str, str]:
        """Everything that nobody may read."""
        known = self.emulators.credentials
        return {
            "OpenAI key": known.openai_key,
            "Anthropic key": known.anthropic_key,
            "AWS secret": known.aws_secret_access_key,
            "AWS session token": str(known.aws_session_token),
            "gateway key": self.key,
            "gateway key's secret part": self.key.split("_")[2],
            "placeholder": self.placeholder,
            "prompt": self.prompt,
        }


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Busy]:
    with Emulators(pace=0.001, tokens=4, echo_hosts=[STRANGER]) as emulators:
        folder = tmp_path_factory.mktemp("busy")
        gateway = start(folder, emulators, server={"gateway_hosts": ["llm.internal"]}, level="debug")
        gateway.log_file.chmod(0o600)
        one = Busy(gateway, emulators, gateway.key(), canary("sk-placeholder-"), canary("Once upon a time "))
        for work in (_ordinary, _refused, _unreadable, _broken_providers, _wrong_credentials):
            work(one)
        time.sleep(0.1)
        one.own += [_get(one, path) for path in ("/health", "/ready", "/metrics")]
        yield one
        gateway.stop()


# ---- the traffic ---------------------------------------------------------------------------------------------------


def _body(busy: Busy, body: bytes) -> bytes:
    return body.replace(b"PROMPT", busy.prompt.encode())


def _get(busy: Busy, path: str, *fields: tuple[str, str]) -> Answer:
    with Wire(busy.gateway.port) as wire:
        return wire.request("GET", path, [("Host", "gateway"), ("X-API-Key", busy.key), *fields])


def _by_path(busy: Busy, host: str, *fields: tuple[str, str]) -> Answer:
    instance, path, body = NATIVE[host]
    with Wire(busy.gateway.port) as wire:
        headers = [
            ("Host", "gateway"),
            ("Content-Type", "application/json"),
            ("anthropic-version", "2023-06-01"),
            *fields,
        ]
        return wire.request("POST", f"/transparent/{instance}{path}", headers, _body(busy, body))


def _by_tunnel(busy: Busy, host: str, *fields: tuple[str, str]) -> Answer:
    _, path, body = NATIVE[host]
    with tunnel(busy.gateway.port, host, busy.key, busy.gateway.ca_file) as wire:
        headers = [("Host", host), ("Content-Type", "application/json"), ("anthropic-version", "2023-06-01"), *fields]
        return wire.request("POST", path, headers, _body(busy, body))


def _ordinary(busy: Busy) -> None:
    for host in NATIVE:
        for slot in (
            ("X-API-Key", busy.key),
            ("Authorization", f"Bearer {busy.key}"),
            ("Authorization", basic(busy.key)),
            ("Proxy-Authorization", basic(busy.key)),
            ("api-key", busy.key),
            ("x-goog-api-key", busy.key),
        ):
            assert _by_path(busy, host, slot).status == 200
        assert (
            _by_path(busy, host, ("X-API-Key", busy.key), ("Authorization", f"Bearer {busy.placeholder}")).status == 200
        )
        assert _by_tunnel(busy, host, ("Authorization", f"Bearer {busy.placeholder}")).status == 200
        assert _by_tunnel(busy, host, ("X-Api-Key", busy.placeholder)).status == 200
        assert _by_tunnel(busy, host, ("api_key", busy.placeholder)).status == 200
    for query in (f"?key={busy.key}", f"?key={quote(busy.key)}&limit=1", f"?k%65y={busy.key}"):
        with Wire(busy.gateway.port) as wire:
            path = f"/transparent/openai/v1/models{query}"
            assert wire.request("GET", path, [("Host", "gateway"), ("Connection", "x-a, x-b")]).status == 200
    for instance in ("openai", "anthropic"):
        for name in ("access_token", "api-key", "KEY", "monkey", "%61pi_key"):
            with Wire(busy.gateway.port) as wire:
                target = f"/transparent/{instance}/v1/models?{name}={quote(busy.key)}&{name}=%6c{busy.key[1:]}"
                fields = [("Host", "gateway"), ("X-API-Key", busy.key), ("anthropic-version", "2023-06-01")]
                assert wire.request("GET", target, fields).status == 200


def _refused(busy: Busy) -> None:
    wrong = busy.key[:-1]
    for fields in (
        [("X-API-Key", wrong)],
        [("Authorization", f"Bearer {wrong}")],
        [("Authorization", basic(busy.key + "x"))],
        [("X-API-Key", busy.key), ("Authorization", f"Bearer {wrong}")],
        [("X-API-Key", busy.key), ("X-API-Key", busy.placeholder)],
        [("X-Session-Token", busy.key)],
        [("X-Request-Id", f"{busy.placeholder} {busy.prompt}")],
        [("Authorization", f"Bearer {busy.placeholder}")],
    ):
        busy.refusals.append(_by_path(busy, OPENAI, *fields))
    for target in (f"{STRANGER}:443", f"{OPENAI}:80", "127.0.0.1:443"):
        for key in (busy.key, wrong, busy.placeholder):
            with Wire(busy.gateway.port) as wire:
                busy.refusals.append(wire.connect(target, key))
    for target in (f"http://{STRANGER}/", f"http://{OPENAI}/", f"https://{STRANGER}/", "http://llm.internal/nowhere"):
        with Wire(busy.gateway.port) as wire:
            host = target.split("/")[2]
            proof = ("Proxy-Authorization", basic(busy.key))
            busy.refusals.append(wire.request("GET", target, [("Host", host), proof]))
    for path in ("/nowhere", "/transparent/nobody/x", "/transparent/openai/../x", "/transparent/openai/%00"):
        with Wire(busy.gateway.port) as wire:
            busy.refusals.append(wire.request("GET", f"{path}?key={busy.key}", [("Host", "gateway")]))
    for sni, host in ((STRANGER, OPENAI), (OPENAI, STRANGER), (ANTHROPIC, OPENAI)):
        with Wire(busy.gateway.port) as wire:
            assert wire.connect(f"{OPENAI}:443", busy.key).status == 200
            start_tls_as(wire, sni.encode())
            fields = [("Host", host), ("Authorization", f"Bearer {busy.placeholder}")]
            busy.refusals.append(wire.request("GET", f"/v1/models?key={busy.key}", fields))
    assert all(400 <= answer.status < 500 for answer in busy.refusals)


def _unreadable(busy: Busy) -> None:
    """What mitmproxy's own log lines would quote: unfinished, malformed, and not even HTTP."""
    key = busy.key
    for data in (
        f"POST /x HTTP/1.1\r\nHost: gateway\r\nX-API-Key: {key}",
        f"POST /x HTTP/1.1\r\nHost: gateway\r\nX-API-Key {key}\r\n\r\n",
        f"POST /x?key={key} HTTX/1.1\r\nHost: gateway\r\n\r\n",
        f"{key} /x HTTP/1.1\r\nHost: gateway\r\n\r\n",
        f"GET {key}\r\n\r\n",
        f"GET /x HTTP/1.1\r\nHost: {key}\r\n\r\n",
        f"GET /x HTTP/1.1\r\nHost: {key}@x\r\n\r\n",
        f"GET http://user:{key}@{STRANGER}/ HTTP/1.1\r\nHost: {STRANGER}\r\n\r\n",
        f"CONNECT {key}:443 HTTP/1.1\r\nHost: x\r\n\r\n",
        f"CONNECT user:{key}@{OPENAI}:443 HTTP/1.1\r\n\r\n",
        f"GET /{key} HTTP/1.1\r\nHost: gateway\r\n\r\n",
        f"POST /x HTTP/1.1\r\nHost: gateway\r\nContent-Length: {key}\r\n\r\n",
        f"POST /x HTTP/1.1\r\nHost: gateway\r\nTransfer-Encoding: {key}\r\n\r\n",
        f"POST /x HTTP/1.1\r\nHost: gateway\r\nX-API-Key: {key}\r\n folded {key}\r\n\r\n",
        f"POST /x HTTP/1.1\r\nHost: gateway\r\n{key}: x\r\n{key}@: x\r\n\r\n",
        f"POST /transparent/openai/v1/x HTTP/1.1\r\nHost: gateway\r\nX-API-Key: {key}\r\n"
        f"Transfer-Encoding: chunked\r\n\r\n{key}\r\n",
        f"POST /transparent/openai/v1/x HTTP/1.1\r\nHost: gateway\r\nX-API-Key: {key}\r\n"
        f"Content-Length: 999\r\n\r\n{key}",
        f"\x16\x03\x01{key}{key}",
        key,
    ):
        busy.refusals += _leave(busy, Wire(busy.gateway.port, timeout=0.1), data.encode())
        with Wire(busy.gateway.port, timeout=0.1) as wire:
            assert wire.connect(f"{OPENAI}:443", key).status == 200
            busy.refusals += _leave(busy, wire, data.encode())
        inside = tunnel(busy.gateway.port, OPENAI, key, busy.gateway.ca_file)
        inside._sock.settimeout(0.1)
        busy.refusals += _leave(busy, inside, data.encode())


def _leave(busy: Busy, wire: Wire, data: bytes) -> list[Answer]:
    with wire, contextlib.suppress(TimeoutError, EOFError, ConnectionError, ssl.SSLError):
        answer = wire.send(data).answer()
        return [answer] if answer.status >= 400 else []
    return []


def _broken_providers(busy: Busy) -> None:
    """Providers that quote what they were sent, where our own words or log lines might repeat it."""
    known = busy.emulators.credentials
    quoting = f"{known.openai_key} {busy.prompt}"
    for behaviour in (
        Behaviour(raw=f"{quoting}\r\n\r\n".encode()),
        Behaviour(raw=f"HTTP/1.1 200 OK\r\nX {quoting}\r\n\r\n".encode()),
        Behaviour(raw=f"HTTP/1.1 2x0 {quoting}\r\n\r\n".encode()),
        Behaviour(raw=f"HTTP/1.1 999 {quoting}\r\nContent-Length: 0\r\n\r\n".encode()),
        Behaviour(raw=f"HTTP/1.1 200 OK\r\nContent-Length: {quoting}\r\n\r\n".encode()),
        Behaviour(raw=f"HTTP/1.1 200 OK\r\nTransfer-Encoding: {quoting}\r\n\r\n".encode()),
        Behaviour(raw=b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n"),
        Behaviour(raw=b""),
        Behaviour(cut_after=0, cut=Cut.RST),
    ):
        for ask in (_by_path, _by_tunnel):
            busy.emulators.behave(OPENAI, behaviour)
            fields = [("X-API-Key", busy.key)] if ask is _by_path else []
            with contextlib.suppress(EOFError):
                answer = ask(busy, OPENAI, *fields)
                if answer.header("x-llmauth-fault") is not None:
                    busy.refusals.append(answer)
    for reason in (f"expired: {quoting}", "no"):
        busy.emulators.behave(OPENAI, Behaviour(status=401, body=json.dumps({"error": reason}).encode()))
        busy.refusals.append(_by_path(busy, OPENAI, ("X-API-Key", busy.key)))


def _wrong_credentials(busy: Busy) -> None:
    right = busy.emulators.credentials
    busy.emulators.credentials = DemoCredentials.random()
    for host in NATIVE:
        busy.refusals.append(_by_path(busy, host, ("X-API-Key", busy.key)))
    busy.emulators.credentials = right
    assert [answer.status for answer in busy.refusals[-3:]] == [502, 502, 502]


# ---- the search ----------------------------------------------------------------------------------------------------


def test_the_search_finds_what_is_there(busy: Busy) -> None:
    """Otherwise finding nothing would mean nothing."""
    for secret in busy.secrets().values():
        for text in (
            secret.encode(),
            base64.b64encode(b"user:" + secret.encode() + b"more"),
            base64.urlsafe_b64encode(b"??" + secret.encode()),
            secret.encode().hex().encode(),
            repr(secret.encode()).encode(),
            json.dumps({"a": secret}).encode(),
            quote(secret, safe="").encode(),
        ):
            assert found(secret, text)
    assert len(busy.refusals) > 60
    assert len(busy.gateway.lines()) > 100
    assert {line["level"] for line in busy.gateway.lines()} >= {"DEBUG", "INFO", "WARN"}


def test_no_secret_and_no_prompt_is_in_the_log(busy: Busy) -> None:
    log = busy.gateway.log_file.read_bytes()
    assert [name for name, secret in busy.secrets().items() if found(secret, log)] == []


def test_no_log_line_holds_what_would_end_it(busy: Busy) -> None:
    """R3: a line is one JSON object, whatever clients sent."""
    for line in busy.gateway.log_file.read_bytes().splitlines():
        json.loads(line)
        assert all(byte >= 0x20 for byte in line)


def test_no_secret_is_in_an_answer_of_ours(busy: Busy) -> None:
    for answer in busy.refusals + busy.own:
        text = repr(answer.headers).encode() + answer.body
        assert [name for name, secret in busy.secrets().items() if found(secret, text)] == [], answer


def test_every_secret_reached_only_whom_it_is_for(busy: Busy) -> None:
    known = busy.emulators.credentials
    for_whom = {known.openai_key: OPENAI, known.anthropic_key: ANTHROPIC, str(known.aws_session_token): BEDROCK}
    arrived = busy.emulators.requests()
    assert {seen.host for seen in arrived} == {OPENAI, ANTHROPIC, BEDROCK}
    for seen in arrived:
        text = seen.head + seen.body
        for secret, host in for_whom.items():
            assert found(secret, text) == (seen.host == host), (seen.host, host)
        assert seen.sni == seen.host
    for name in ("AWS secret", "gateway key", "gateway key's secret part", "placeholder"):
        assert not any(found(busy.secrets()[name], seen.head + seen.body) for seen in arrived), name


def test_no_secret_is_in_the_metrics_and_no_label_is_a_clients(busy: Busy) -> None:
    metrics = busy.own[2].body
    assert b"bedrock_proxy_requests_total" in metrics
    for text in (STRANGER, "nowhere", "nobody", "llm.internal", busy.key.split("_")[1]):
        assert text.encode() not in metrics


def test_no_secret_is_in_the_state_folder(busy: Busy) -> None:
    for path in busy.gateway.home.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert [name for name, secret in busy.secrets().items() if found(secret, content)] == [], path


def test_no_secret_is_on_the_command_line(busy: Busy) -> None:
    line = Path(f"/proc/{busy.gateway.process.pid}/cmdline")
    if line.exists():
        assert [name for name, secret in busy.secrets().items() if found(secret, line.read_bytes())] == []


# ---- files (R4) ----------------------------------------------------------------------------------------------------

# Written by the test itself, from what `llmauth ca export` and `ca bundle` print.
PUBLIC = ("ca.pem", "bundle.pem")


def test_the_state_folder_is_open_to_nobody_else(busy: Busy) -> None:
    home = busy.gateway.home
    wide = [
        (path, oct(path.stat().st_mode))
        for path in (home, *home.rglob("*"))
        if path.name not in PUBLIC and stat.S_IMODE(path.stat().st_mode) & 0o077 and not _is_public_certificate(path)
    ]
    assert wide == []
    assert {path.name for path in home.iterdir()} >= {"keys.db", "keys.db-wal", "keys.db-shm", "ca"}


def _is_public_certificate(path: Path) -> bool:
    return path.is_file() and b"CERTIFICATE" in path.read_bytes() and b"PRIVATE" not in path.read_bytes()


@pytest.mark.parametrize(
    ("wide", "mode"),
    [(".", 0o750), (".", 0o701), ("keys.db", 0o640), ("keys.db-wal", 0o604), ("keys.db-shm", 0o660), ("ca/*", 0o604)],
)
def test_a_state_that_others_can_read_keeps_the_server_from_starting(
    tmp_path: Path, busy: Busy, wide: str, mode: int
) -> None:
    """As it is found after a kill, with the two files of the write-ahead log still there."""
    shutil.copytree(busy.gateway.home, tmp_path / "home", ignore=shutil.ignore_patterns("control"))
    path = tmp_path / "home" / wide if wide != "ca/*" else _ca_key(tmp_path / "home" / "ca")
    path.chmod(mode)
    again = start(tmp_path, busy.emulators, wait=False)
    try:
        assert again.process.wait(10) == 1
    finally:
        again.stop()
    assert "chmod" in again.log()
    assert path.resolve().name in again.log()
    assert "Traceback" not in again.log()


def _ca_key(folder: Path) -> Path:
    (key,) = (path for path in folder.iterdir() if b"PRIVATE KEY" in path.read_bytes())
    return key
