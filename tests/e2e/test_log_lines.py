"""What an operator reads in the log: whose request, how long each part took, what it used; and no line that lies."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable

from llmauth.demo.emulators import Emulators
from tests.fixtures.calls import CHAT, STREAM
from tests.fixtures.raw import Answer, Wire, basic
from tests.fixtures.serving import Serving

PATH = "/transparent/openai/v1/chat/completions"
# What would end a line, begin another one, or be obeyed by a terminal.
HOSTILE = 'x\t\x1b[2J\x1b]0;owned\x07 \x9b31m\u2028\u202e{"level":"ERROR"}'
LIE = '{"timestamp":"2026-01-01T00:00:00.000Z","level":"ERROR","message":"all keys leaked"}'


def ask(gateway: Serving, name: str, *fields: tuple[str, str], path: str = PATH, body: bytes = CHAT) -> Answer:
    with Wire(gateway.port) as wire:
        return wire.request("POST", path, [("Host", "gateway"), ("X-Request-Id", name), *fields], body)


def line_of(gateway: Serving, request_id: str, message: str = "request") -> dict[str, object]:
    (found,) = [line for line in gateway.lines(message) if line.get("request_id") == request_id]
    return found


def test_a_line_tells_our_time_apart_from_the_providers(gateway: Serving) -> None:
    key = ("X-API-Key", gateway.key())
    assert ask(gateway, "log-stream", key, ("Content-Type", "application/json"), body=STREAM).status == 200
    told = line_of(gateway, "log-stream")
    parts = [float(str(told[name])) for name in ("overhead_ms", "dial_ms", "upstream_ms")]
    whole = float(str(told["ms"]))
    assert sum(parts) <= whole + 0.05
    assert parts[2] > parts[0], "the emulated provider takes some milliseconds for a stream, and we do not"
    assert float(str(told["first_byte_ms"])) <= float(str(told["first_token_ms"])) <= whole


def test_a_line_tells_who_where_and_how_much(gateway: Serving) -> None:
    assert ask(gateway, "log-json", ("X-API-Key", gateway.key()), ("Content-Type", "application/json")).status == 200
    told = line_of(gateway, "log-json")
    wanted = {"user": "test", "instance": "openai", "strategy": "environment", "stage": "Credentialed", "status": 200}
    assert {name: told[name] for name in wanted} == wanted
    assert int(str(told["input_tokens"])) > 0
    assert int(str(told["output_tokens"])) > 0


def test_a_refused_caller_is_told_by_reason_source_and_fingerprint(gateway: Serving) -> None:
    """And by its request, so that both lines are found by the id that the client was given."""
    for name in ("log-guess-1", "log-guess-2"):
        answer = ask(gateway, name, ("X-API-Key", "llmauth_guessed"))
        assert (answer.status, answer.header("x-request-id")) == (401, name)
    other = ask(gateway, "log-guess-3", ("X-API-Key", "llmauth_another"))
    assert other.status == 401
    told = [line_of(gateway, f"log-guess-{number}", "auth_failed") for number in (1, 2, 3)]
    assert {(line["reason"], line["source"]) for line in told} == {("malformed", "127.0.0.1")}
    prints = [str(line["fp"]) for line in told]
    assert prints[0] == prints[1] != prints[2]
    assert all(re.fullmatch(r"[0-9a-f]{8}", each) for each in prints)
    assert "guessed" not in gateway.log()


def test_a_wrong_key_that_is_computed_bears_its_request_too(gateway: Serving) -> None:
    """Judged in a thread, after the hook that asked has gone."""
    right = gateway.key()
    wrong = right[:-1] + ("0" if right[-1] != "0" else "1")
    with Wire(gateway.port) as wire:
        answer = wire.connect("api.openai.com:443", wrong)
    assert answer.status == 407
    assert line_of(gateway, answer.header("x-request-id") or "", "auth_failed")["reason"]


def test_nothing_that_a_client_writes_makes_a_line_or_moves_a_terminal(
    serve: Callable[..., Serving], emulators: Emulators
) -> None:
    """R3, in both forms, through every place that a client can write into."""
    for form in ("json", "console"):
        gateway = serve(format=form)
        key = gateway.key()
        _write_everywhere(gateway, key)
        gateway.stop()
        text = gateway.log_file.read_bytes().decode("utf-8")
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u202e]", text)
        for line in text.splitlines():
            begins = (
                line.startswith("{") if form == "json" else re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [A-Z]+ ", line)
            )
            assert begins, line
            assert form == "console" or json.loads(line)["message"] != "all keys leaked"


def _write_everywhere(gateway: Serving, key: str) -> None:
    raw, lie = HOSTILE.encode(), LIE.encode()
    body = json.dumps({"model": HOSTILE + "\n" + LIE, "messages": []}).encode()
    for data in (
        b"GET /" + raw + b" HTTP/1.1\r\nHost: gateway\r\n\r\n",
        raw + b" / HTTP/1.1\r\nHost: gateway\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: " + raw + b"\r\n\r\n",
        b"CONNECT " + raw + b":443 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: gateway\r\nX-Request-Id: " + raw + b"\n" + lie + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: gateway\r\nX-API-Key: " + raw + b"\r\n\r\n",
        b"GET /transparent/"
        + lie.replace(b" ", b"%20")
        + b" HTTP/1.1\r\nHost: gateway\r\nX-API-Key: "
        + key.encode()
        + b"\r\n\r\n",
        b"GET /%0a%0d%1b%5b2J HTTP/1.1\r\nHost: gateway\r\nX-API-Key: " + key.encode() + b"\r\n\r\n",
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: gateway\r\nX-API-Key: "
        + key.encode()
        + b"\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
        + body,
        raw + b"\n" + lie + b"\n",
    ):
        with Wire(gateway.port, timeout=1.0) as wire, contextlib.suppress(EOFError, OSError, ValueError):
            wire.send(data).answer()
    proof = basic(key, user=HOSTILE)
    with Wire(gateway.port) as wire:
        wire.request(
            "GET", "http://" + "a" * 20 + ".example/", [("Host", "a" * 20 + ".example"), ("Proxy-Authorization", proof)]
        )
