"""R5: every decision on a request is on the record before its answer is out, and where nothing can be recorded nothing
is allowed."""

from __future__ import annotations

import json
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from llmauth.demo.emulators import Emulators
from tests.fixtures.audits import lines_in
from tests.fixtures.calls import CHAT, JSON, call, get
from tests.fixtures.raw import Answer, Wire, basic, tunnel
from tests.fixtures.serving import Serving

CALL = "/transparent/openai/v1/chat/completions"
Serve = Callable[..., Serving]


def ask(gateway: Serving, name: str, *headers: tuple[str, str], method: str = "POST", path: str = CALL) -> Answer:
    """An answer, to a request that has this id."""
    with Wire(gateway.port) as wire:
        body = CHAT if method == "POST" else b""
        return wire.request(method, path, [("Host", "gateway"), ("X-Request-Id", name), JSON, *headers], body)


def record(gateway: Serving, name: str, kind: str = "request") -> dict[str, Any]:
    """What is recorded of a request; the decision at once, its outcome a moment later."""
    ends = time.monotonic() + (2.0 if kind == "outcome" else 0.0)
    while True:
        found = [line for line in lines_in(gateway.home) if line.get("request_id") == name and line["kind"] == kind]
        if found or time.monotonic() >= ends:
            assert len(found) == 1, found
            return found[0]
        time.sleep(0.01)


def verified(gateway: Serving) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "llmauth", "audit", "verify", "--json"]
    return subprocess.run(command, env=gateway.environ, capture_output=True, text=True, check=False, timeout=60)


def test_what_is_allowed_is_recorded_before_it_is_answered(gateway: Serving) -> None:
    assert ask(gateway, "audit-allowed", ("X-API-Key", gateway.key())).status == 200
    told = record(gateway, "audit-allowed")
    assert {name: told.get(name) for name in ("decision", "user", "method", "client", "door", "instance")} == {
        "decision": "allow",
        "user": "test",
        "method": "api_key",
        "client": "127.0.0.1",
        "door": "gateway",
        "instance": "openai",
    }
    assert told["key_id"] in gateway.key()
    assert told["strategy"] == "environment"
    assert [each.partition(":")[0] for each in told["decisions"]][:3] == ["auth", "mode", "model"]
    ended = record(gateway, "audit-allowed", "outcome")
    assert (ended["status"], ended["input_tokens"] > 0, ended["output_tokens"] > 0) == (200, True, True)


def test_the_same_head_again_is_recorded_again(gateway: Serving) -> None:
    """What passes by memory is decided all the same."""
    before = len([line for line in lines_in(gateway.home) if line["kind"] == "request"])
    with Wire(gateway.port) as wire:
        for _ in range(5):
            assert call(gateway, wire=wire).status == 200
    assert len([line for line in lines_in(gateway.home) if line["kind"] == "request"]) == before + 5


def test_what_is_refused_is_recorded_with_its_reason(gateway: Serving) -> None:
    assert ask(gateway, "audit-nobody").status == 401
    assert ask(gateway, "audit-nowhere", ("X-API-Key", gateway.key()), path="/transparent/none/v1").status == 404
    nobody, nowhere = record(gateway, "audit-nobody"), record(gateway, "audit-nowhere")
    assert (nobody["decision"], nobody["status"], nobody.get("user")) == ("deny", 401, None)
    assert (nowhere["decision"], nowhere["status"], nowhere["user"]) == ("deny", 404, "test")
    assert nowhere["code"] == "instance_not_found"
    assert "auth: missing" in nobody["decisions"][-1]


def test_tunnels_and_their_requests(gateway: Serving) -> None:
    """A tunnel that we end is no decision of its own; a target that is refused is one."""
    with tunnel(gateway.port, "api.openai.com", gateway.key(), gateway.ca_file) as wire:
        headers = [("Host", "api.openai.com"), ("X-Request-Id", "audit-inside")]
        assert wire.request("GET", "/v1/models", headers).status == 200
    inside = record(gateway, "audit-inside")
    assert (inside["door"], inside["host"], inside["decision"]) == ("tunnel", "api.openai.com", "allow")
    with Wire(gateway.port) as wire:
        proof = ("Proxy-Authorization", basic(gateway.key()))
        refused = wire.request("CONNECT", "example.com:443", [("Host", "example.com:443"), proof])
    assert refused.status == 403
    told = record(gateway, refused.header("x-request-id") or "")
    assert (told["decision"], told["door"], told["host"]) == ("deny", "connect", "example.com:443")


def test_health_is_nobodys_decision(gateway: Serving) -> None:
    before = lines_in(gateway.home)
    assert get(gateway, "/health").status == 200
    assert lines_in(gateway.home) == before


def test_a_login_and_its_end_are_on_the_disk_first(gateway: Serving) -> None:
    body = json.dumps({"api_key": gateway.key("audit-person")}).encode()
    with Wire(gateway.port) as wire:
        answer = wire.request("POST", "/auth/login", [("Host", "gateway"), ("X-Request-Id", "audit-login"), JSON], body)
    assert answer.status == 200
    told = record(gateway, "audit-login", "admin")
    assert (told["action"], told["by"], told["name"]) == ("session opened", "audit-person", "audit-person")
    session = json.loads(answer.body)["session_token"]
    assert ask(gateway, "audit-logout", ("X-Session-Token", session), path="/auth/logout").status == 200
    assert record(gateway, "audit-logout", "admin")["action"] == "session ended"
    assert told["subject"] == record(gateway, "audit-logout", "admin")["subject"]


def test_credentials_are_recorded_by_place_and_never_by_value(gateway: Serving, emulators: Emulators) -> None:
    fetched = [line for line in lines_in(gateway.home) if line["kind"] == "credential"]
    assert {(line["instance"], line["result"]) for line in fetched} >= {("openai", "fetched"), ("anthropic", "fetched")}
    text = json.dumps(lines_in(gateway.home))
    secrets = (gateway.key(), emulators.credentials.openai_key, emulators.credentials.aws_secret_access_key)
    assert not [secret for secret in secrets if secret in text]
    assert "hello" not in text, "no body"


@contextmanager
def no_room(gateway: Serving) -> Iterator[None]:
    """Its files cannot grow any more."""
    length = max(file.stat().st_size for file in (gateway.home / "audit").glob("*.jsonl"))
    before = resource.prlimit(gateway.process.pid, resource.RLIMIT_FSIZE, (min(length, 64), resource.RLIM_INFINITY))
    try:
        yield
    finally:
        resource.prlimit(gateway.process.pid, resource.RLIMIT_FSIZE, before)


def test_where_nothing_can_be_recorded_nothing_is_allowed(serve: Serve, emulators: Emulators) -> None:
    gateway = serve(level="info")
    key = ("X-API-Key", gateway.key())
    assert ask(gateway, "before", key).status == 200
    with no_room(gateway):
        seen = len(emulators.requests())
        first = ask(gateway, "during", key)
        assert (first.status, first.header("retry-after")) == (503, "5")
        after = len(emulators.requests())
        assert [ask(gateway, f"during-{n}", key).status for n in range(3)] == [503] * 3
        assert len(emulators.requests()) == after <= seen + 1, "at most the one that found out had left already"
        assert get(gateway, "/health").status == 200
        assert get(gateway, "/ready").status == 503
        assert ask(gateway, "nobody").status == 401, "a refusal stays one"
    ends = time.monotonic() + 10
    while get(gateway, "/ready").status != 200 and time.monotonic() < ends:
        time.sleep(0.05)
    assert ask(gateway, "after", key).status == 200
    gateway.stop()
    told = json.loads(verified(gateway).stdout)
    assert record(gateway, "after")["decision"] == "allow"
    assert told, "it tells what it saw"


def test_killed_it_has_lost_no_decision_that_was_answered(serve: Serve) -> None:
    gateway = serve(level="info")
    key = ("X-API-Key", gateway.key())
    names = [f"killed-{number}" for number in range(40)]
    for name in names:
        assert ask(gateway, name, key).status == 200
    gateway.stop(signal.SIGKILL)
    recorded = {line.get("request_id") for line in lines_in(gateway.home) if line["kind"] == "request"}
    assert recorded >= set(names)
    done = verified(gateway)
    assert done.returncode == 0, done.stdout + done.stderr


def test_it_can_be_switched_off(serve: Serve) -> None:
    gateway = serve(level="info", audit={"enabled": False})
    assert ask(gateway, "unrecorded", ("X-API-Key", gateway.key())).status == 200
    assert not list(gateway.home.glob("audit/*.jsonl"))
