"""What is told beside a copy: who, where to, why and how it went; and every word of others as one plain line."""

from __future__ import annotations

import time
from decimal import Decimal
from typing import Any

import pytest
from mitmproxy.test import tflow

from addons.viewing.copies import blank, draw
from addons.viewing.notes import notes_of
from addons.viewing.seen import Seen
from llmauth.chat.messages import Usage
from llmauth.context import Credentialed, Decision, Identity, Target, TransparentRoute, complete
from llmauth.errors import BadRequest, UpstreamUnreachable
from llmauth.http import Door
from llmauth.storage.key_text import new_key
from llmauth.telemetry.access import Outcome
from tests.addons.exchanges import exchange

KEY = new_key()[1].reveal()


def credentialed(**more: Any) -> Credentialed:
    given: dict[str, Any] = {
        "request_id": "req-1",
        "received_at": 1.0,
        "started": 10.0,
        "decisions": (Decision(router="auth", input="x-api-key", outcome="alice", reason="api_key laptop"),),
        "identity": Identity(user="alice", method="api_key", key_id="k1", key_name="laptop", groups=("ops",)),
        "route": TransparentRoute(instance="openai", path="/v1/x", native=False),
        "target": Target(instance="openai", provider="openai", region="eu", model="gpt-4o"),
        "strategy": "environment",
        "expires_at": time.time() + 3600.5,
    }
    return complete(Credentialed, **{**given, **more})


def told(*, ended: bool = True, outcome: dict[str, Any] | None = None, **more: Any) -> tuple[str, str, str]:
    """The marker, the line, and the whole."""
    flow = tflow.tflow(resp=True)
    made = exchange(**{"context": credentialed(), **more})
    seen = Seen(flow, made, blank(flow))
    seen.note_request(flow, signed=True)
    assert flow.response
    seen.note_answer(flow.response, whole=True)
    if ended:
        seen.ended_at = time.monotonic()
        given: dict[str, Any] = {
            "context": made.context,
            "request": made.request,
            "status": 200,
            "finished": 10.5,
            "overhead": 0.001,
            "dial": None,
            "first_byte_at": 10.25,
            "error": made.error,
            "decisions": (),
            "cut": False,
            "provider_request_id": None,
        }
        seen.outcome = Outcome(**{**given, **(outcome or {})})
    draw(seen, last=ended)
    line, _, rest = seen.copy.comment.partition("\n\n")
    assert rest == notes_of(seen.copy)
    return seen.copy.marked, line, rest


def test_a_good_request() -> None:
    outcome = {"usage": Usage(input=12, output=34), "cost": Decimal("0.00120")}
    marked, line, whole = told(outcome=outcome, first_byte_at=10.25, provider_request_id="theirs")
    assert marked == ""
    assert line == "alice → openai gpt-4o · 12 in, 34 out · $0.0012 · 500.0 ms"
    for part in (
        *("request id: req-1\n", "provider's id: theirs\n", "  - auth: x-api-key → alice (api_key laptop)\n"),
        *("  key id: k1\n", "  groups: ops\n", "  region: eu\n", "  strategy: environment\n", "  ends in: 3600 s\n"),
        *("  input: 12\n", "  output: 34\n", "cost: $0.0012\n", "  ours: 1.0 ms\n", "  first byte: 250.0 ms\n"),
    ):
        assert part in whole + "\n"


def test_one_that_runs() -> None:
    marked, line, whole = told(ended=False)
    assert (marked, line) == ("", "alice → openai gpt-4o · running")
    assert "state: running\n" in whole


@pytest.mark.parametrize(
    ("error", "marked"), [(BadRequest("No."), ":no_entry:"), (UpstreamUnreachable("It is gone."), ":x:")]
)
def test_one_that_was_refused_says_whose_fault_it_was(error: Exception, marked: str) -> None:
    found = told(error=error)
    assert found[0] == marked
    assert f"  fault: {error.fault}\n" in found[2]  # type: ignore[attr-defined]
    assert f"  why: {error.message}\n" in found[2]  # type: ignore[attr-defined]


def test_one_that_was_cut_and_one_that_the_provider_refused() -> None:
    assert told(outcome={"cut": True})[0] == ":scissors:"
    assert "state: cut" in told(outcome={"cut": True})[2]


def test_a_tunnel_that_nobody_reads() -> None:
    assert "state: a tunnel; its bytes pass unread\n" in told(door=Door.CONNECT)[2]


def test_the_words_of_others_are_one_plain_line_without_a_key() -> None:
    evil = f"a\nrefused:\n  fault: proxy\x1b[2J\u202e {KEY}"
    target = Target(instance="openai", provider="openai", model=evil)
    decision = Decision(router="model", input=evil, outcome=evil, reason=evil)
    _, line, whole = told(context=credentialed(target=target, decisions=(decision,)))
    assert KEY not in line + whole
    assert "\nrefused:" not in whole
    assert "\x1b" not in line + whole
    assert "\u202e" not in line + whole


def test_of_other_flows_nothing_is_known() -> None:
    assert notes_of(tflow.tflow()) == ""
