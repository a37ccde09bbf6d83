"""Outcomes as a walk would give them, made by hand: what tests of wording and layout need."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from llmauth.demo.recorder import Recorded
from llmauth.demo.walk.access import Access
from llmauth.demo.walk.cast import cast
from llmauth.demo.walk.client import Report
from llmauth.demo.walk.evidence import Outcome, Received
from llmauth.demo.walk.shells import Place, Shell, Step

ALICE = "llmauth_AliceAlice_" + "a" * 38
KEYS = {user: f"llmauth_{user * 2:x<10}_{user:y<38}" for user in ("bob", "carol")} | {"alice": ALICE}
PLACE = Place(port=8080, bundle=Path("/folder/ca-bundle.pem"), keys=KEYS)
_SHELLS = cast(PLACE, curl=True)


def recorded(*headers: tuple[bytes, bytes], body: bytes = b"{}", host: str = "api.openai.com") -> Recorded:
    """A request at a provider; its head is put together of these headers."""
    return Recorded(
        connection=1,
        sni=host,
        host=host,
        method=b"POST",
        target=b"/v1/chat/completions",
        headers=headers,
        head=b"".join(b"%s: %s\r\n" % field for field in headers),
        body=body,
        chunked=False,
        trailers=(),
        received_at=0.0,
        status=200,
        first_byte_at=0.0,
        answered_at=0.0,
        client_gone_at=None,
        sent_headers=(),
        sent_body=b"",
    )


def shell_of(caller: str) -> Shell:
    return next(shell for shell in _SHELLS if shell.caller == caller)


def access(**more: Any) -> Access:
    given: dict[str, Any] = {
        "timestamp": "2026-01-02T03:04:05.678Z",
        "request_id": "req_1",
        "status": 200,
        "door": "tunnel",
    }
    return Access(**given | {"user": "alice", "instance": "openai", "overhead_ms": 0.4} | more)


def outcome(**more: Any) -> Outcome:
    """Alice's answered chat, with these fields in place of its own."""
    held = {"OPENAI_API_KEY": "sk-placeholder", "HTTPS_PROXY": "llmauth_AliceAlice_…"}
    made = Outcome(
        shell=shell_of("alice"),
        step=Step(call="openai.chat"),
        report=Report(call="openai.chat", held=held, status=200, total_ms=12.34, request_id="req_1", text="Hello"),
        access=access(),
        received=Received(text="Bearer sk-demo-…Ab12", real=True),
        problems=(),
    )
    return replace(made, **more)


def refused(**more: Any) -> Outcome:
    """Eve's call with a guessed key."""
    eve = shell_of("eve")
    report = Report(call="openai.chat", held={"HTTPS_PROXY": "llmauth_AliceAlice_…"}, status=407, total_ms=3.0)
    denied = access(status=407, code="invalid_api_key", user=None, instance=None, overhead_ms=None)
    return outcome(shell=eve, step=eve.steps[0], report=report, access=denied, received=None, **more)


_PATHS = {
    "openai.chat": "/v1/chat/completions",
    "bedrock.invoke_model_with_response_stream": "/model/us.anthropic.claude%3A0/invoke-with-response-stream",
}


def _received(step: Step) -> Received | None:
    """The longest that its provider can have received."""
    sdk = step.call.partition(".")[0]
    credential = {"anthropic": "x-api-key sk-ant-demo-…Ab12", "bedrock": "SigV4 ASIA… us-east-1/bedrock"}
    text, path = credential.get(sdk, "Bearer sk-demo-…Ab12"), _PATHS.get(step.call, "/v1/responses")
    if step.spoken is not None:
        wanted = step.spoken.wanted
        return None if wanted is None else Received(text=credential["bedrock"], real=True, path=wanted.target)
    return Received(text=text, real=True, path=path)


def spoken() -> list[Outcome]:
    """Every call of protocol mode."""
    return [one for one in widest() if one.step.spoken is not None]


def transparent() -> list[Outcome]:
    """Every other call, and one that is refused."""
    return [one for one in widest() if one.step.spoken is None]


def widest() -> list[Outcome]:
    """One call of each kind, with the longest that each provider can have received."""
    slow = Report(call="", held={"OPENAI_API_KEY": "sk-placeholder", "HTTPS_PROXY": ALICE}, status=200)
    slow = replace(slow, first_token_ms=99.94, total_ms=999.4)
    return [
        outcome(
            step=step,
            shell=shell,
            report=slow,
            access=access(instance="bedrock_us1", overhead_ms=99.94),
            received=_received(step),
        )
        for shell in (shell_of("alice"), shell_of("bob"))
        for step in shell.steps
    ] + [refused(problems=("expected status 407, got 200",))]
