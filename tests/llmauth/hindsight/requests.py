"""Remembered requests, as a proxy has them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from llmauth.chat.messages import Usage
from llmauth.context import Decision, Identity, Target
from llmauth.governance.demands import NANOS, Scope
from llmauth.governance.policy import Allowance, Policy
from llmauth.hindsight.remembered import Body, Head, Lent, Remembered
from llmauth.http import Door
from llmauth.rules import Rules

DECISIONS = (
    Decision(router="auth", input="tunnel+authorization", outcome="alice", reason="api_key ci", took=0.000_02),
    Decision(router="mode", input="tunnel api.openai.com:443", outcome="transparent: openai", reason="owns the host"),
    Decision(router="model", input="unread", outcome="unread", reason="transparent: the model is not rewritten"),
    Decision(router="provider", input="openai", outcome="openai", reason="as configured"),
    Decision(router="credential", input="openai", outcome="vault (hashicorp)", reason="loaded …"),
    Decision(router="vault", input="secret/data/openai", outcome="hashicorp", reason="read by the strategy"),
)
ALICE = Identity(user="alice", method="api_key", key_id="k1", key_name="ci")


def remembered(**more: Any) -> Remembered:
    """A request that went well, of alice."""
    facts: dict[str, Any] = {
        "request_id": "req_91c2aaaa",
        "at": 1_800_000_000.0,
        "seconds": 1.5,
        "door": Door.TUNNEL,
        "method": "POST",
        "host": "api.openai.com",
        "path": "/v1/chat/completions",
        "source": "10.2.3.4",
        "identity": ALICE,
        "stage": "Credentialed",
        "protocol": None,
        "operation": None,
        "passed": None,
        "asked": "gpt-5-mini",
        "target": Target(instance="openai", provider="openai"),
        "decisions": DECISIONS,
        "as_before": (),
        "status": 200,
        "refusal": None,
        "usage": Usage(input=1342, output=522, cache_read=39_870),
        "unmetered": None,
        "cost": Decimal("0.0213"),
        "overhead": 0.003,
        "dial": 0.02,
        "upstream": 1.4,
        "first_byte": 0.9,
        "streamed": True,
        "cut": False,
        "limit": None,
        "renewed": False,
        "carried": None,
        "provider_request_id": "req_theirs",
        "head": Head(
            (b"proxy-authorization", b"authorization", b"host"),
            (b"host", b"x-request-id", b"x-api-key", b"x-amz-date"),
            frozenset({"proxy-authorization"}),
            "claude-cli/2.1",
        ),
        "body": Body(71, 71, True, None),
        "lent": Lent("vault (hashicorp)", "secret/data/openai", 2470.0, 1130.0, None),
        "allowance": Allowance(
            Policy(rules=Rules(models=("gpt-4*", "gpt-5*"))),
            (Scope(key="user:alice", rpm=60, budget=40 * NANOS, per="day"),),
        ),
    }
    return Remembered(**(facts | more))
