"""The walk as one JSON document, for a script."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llmauth.demo.walk.evidence import Outcome
from llmauth.demo.walk.report import CURL, trial
from llmauth.demo.walk.stage import Stage


def document(stage: Stage, outcomes: Sequence[Outcome], *, seconds: float, serving: bool) -> dict[str, Any]:
    """`ok`, the proxy, and every call from all three sides. What to try is told while there is a proxy to try it on."""
    proxy = {"url": stage.url, "config": str(stage.config), "log": str(stage.proxy.log_file)}
    told = {
        "ok": not any(outcome.problems for outcome in outcomes),
        "seconds": round(seconds, 2),
        "proxy": {**proxy, "ca_bundle": str(stage.bundle)},
        "calls": [_call(outcome) for outcome in outcomes],
    }
    return {**told, "try": {"environment": trial(stage), "command": CURL}} if serving else told


def _call(outcome: Outcome) -> dict[str, Any]:
    report, access, received = outcome.report, outcome.access, outcome.received
    spoken = outcome.step.spoken
    return {
        "caller": outcome.shell.caller,
        "call": outcome.step.call,
        "note": outcome.step.note or None,
        "via": outcome.shell.way,
        "door": spoken.door if spoken else None,
        "model": spoken.model or None if spoken else None,
        "held": dict(report.held),
        "answered_in": spoken.wanted.format.name if spoken and spoken.wanted else None,
        "received": received.text if received else None,
        "path": received.path if received else None,
        "paid_by": access.instance if access and received else None,
        "strategy": access.strategy if access and received else None,
        "expected": outcome.step.status,
        "status": report.status,
        "code": access.code if access else None,
        "first_token_ms": report.first_token_ms,
        "total_ms": report.total_ms,
        "overhead_ms": access.overhead_ms if access else None,
        "dial_ms": access.dial_ms if access else None,
        "request_id": access.request_id if access else None,
        "error": report.error,
        "problems": list(outcome.problems),
    }
