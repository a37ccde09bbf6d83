"""What was reserved is settled by what was used, also of an answer that was cut or did not tell."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from addons.exchange import Exchange
from addons.settling import guessed, settle
from llmauth.chat.messages import Usage
from llmauth.context import Identity
from llmauth.errors import BrokenAnswer, UpstreamTimeout
from llmauth.governance.demands import Permit
from llmauth.governance.estimates import Guess
from llmauth.governance.governor import Governor
from llmauth.governance.memory import MemoryLimiter
from llmauth.governance.policy import Policies, Policy
from llmauth.rules import Budget, Rules
from llmauth.usage.meter import Reason
from tests.addons.conftest import House
from tests.addons.exchanges import exchange as arrived
from tests.addons.test_govern import NATIVE, OURS, PRICES, exchange, governed, judged

ALICE = Identity(user="alice", method="api_key", key_id="0123456789")


class Settled(MemoryLimiter):
    """Tells what it was told at the end."""

    def __init__(self) -> None:
        super().__init__()
        self.ends: list[tuple[int | None, Decimal | None]] = []

    def settle(self, permit: Permit, tokens: int | None, cost: Decimal | None) -> None:
        self.ends.append((tokens, cost))
        super().settle(permit, tokens, cost)


NOTHING = (0, Decimal(0))
SENT: dict[str, Any] = {"sent_at": 1.0}
LATE, BROKEN = UpstreamTimeout("late"), BrokenAnswer("broken")
# The prompt is 9 tokens by its length, and 1024 are reserved for the answer; a token costs 1 or 10 millionths.
PROMPT, USUAL = 9, 1024
RESERVED = (PROMPT + USUAL, Decimal(PROMPT + 10 * USUAL) / 1_000_000)
TOLD = Usage(input=100, output=50)
ENDS: dict[str, tuple[dict[str, Any], Usage | None, Reason | None, bool, int | None, tuple[int, Decimal]]] = {
    "whole": (SENT, TOLD, None, False, 200, (150, Decimal("0.0006"))),
    "not sent": ({}, None, None, False, 503, NOTHING),
    "not sent, and its client left": ({}, None, None, False, None, NOTHING),
    "refused by the provider": (SENT, None, None, False, 500, NOTHING),
    "refused in the middle of its body": ({**SENT, "passed": 10_000}, None, Reason.CUT, True, 400, NOTHING),
    "no answer": ({**SENT, "error": LATE}, None, None, False, 504, NOTHING),
    "its client left before": (SENT, None, None, False, None, (PROMPT, Decimal("0.000009"))),
    "cut, and told before": (
        {**SENT, "passed": 1000},
        Usage(input=100),
        Reason.CUT,
        True,
        200,
        (150, Decimal("0.0006")),
    ),
    "cut, and told nothing": ({**SENT, "passed": 400}, None, Reason.CUT, True, 200, (29, Decimal("0.000209"))),
    "cut, after more than the reserve": (
        {**SENT, "passed": 1_000_000},
        None,
        Reason.CUT,
        True,
        200,
        (PROMPT + 5000, Decimal("0.050009")),
    ),
    "an end without the last word": ({**SENT, "passed": 400}, None, Reason.CUT, False, 200, (29, Decimal("0.000209"))),
    "h10 translated, and failed after its tokens": (
        {**SENT, "passed": 400, "error": BROKEN},
        Usage(input=100, output=40),
        Reason.CUT,
        True,
        200,
        (140, Decimal("0.0005")),
    ),
    "h10 the same, and told nothing": (
        {**SENT, "passed": 400, "error": BROKEN},
        None,
        Reason.CUT,
        True,
        200,
        (29, Decimal("0.000209")),
    ),
    "failed before anything": ({**SENT, "error": BROKEN}, None, None, True, 200, NOTHING),
    **{
        f"h8 {reason}": ({**SENT, "passed": 100}, None, reason, False, 200, RESERVED)
        for reason in Reason
        if reason is not Reason.CUT
    },
    "h8 much has passed": (
        {**SENT, "passed": 1_000_000},
        None,
        Reason.ENCODING,
        False,
        200,
        (PROMPT + 5000, Decimal("0.050009")),
    ),
    "h8 a part was told": (SENT, TOLD, Reason.TOO_LARGE, False, 200, (100 + USUAL, Decimal("0.01034"))),
    "h8 no meter": ({**SENT, "passed": 100}, None, None, False, 200, RESERVED),
}


def admitted(limiter: MemoryLimiter, reserved: Guess, **rules: Any) -> Exchange:
    """A request that was let in, of a caller with these rules."""
    governor = Governor(Policies(Policy(rules=Rules(**rules))), PRICES, limiter)
    found = arrived()
    found.admission = governor.admit_now(governor.allowance(ALICE), reserved, "gpt-4o")
    return found


@pytest.mark.parametrize(("fields", "usage", "lacks", "cut", "status", "settled"), ENDS.values(), ids=ENDS)
def test_what_is_settled(
    fields: dict[str, Any],
    usage: Usage | None,
    lacks: Reason | None,
    cut: bool,
    status: int | None,
    settled: tuple[int, Decimal],
) -> None:
    """Reserved first; afterwards what was used, also by an answer that was cut or did not tell."""
    limiter = Settled()
    found = admitted(limiter, Guess(PROMPT, USUAL), tpm=100_000, budget=Budget(amount=Decimal(1), per="day"))
    assert found.admission is not None
    for name, value in fields.items():
        setattr(found, name, value)
    settle(found, usage, lacks, cut=cut, status=status)
    assert limiter.ends == [settled]
    assert not found.admission.open


@pytest.mark.parametrize("lacks", [Reason.CUT, Reason.NOT_TOLD])
def test_of_a_caller_whose_tokens_count_for_nothing_no_use_is_made_up(lacks: Reason) -> None:
    limiter = Settled()
    found = admitted(limiter, Guess(0, 0), concurrent=1)
    found.sent_at, found.passed = 1.0, 10**6
    settle(found, None, lacks, cut=lacks is Reason.CUT, status=200)
    assert (found.cost, limiter.ends) == (None, [NOTHING])


FILES = b"/transparent/openai/v1/files"
COUNTS = b"/transparent/anthropic/v1/messages/count_tokens"
BATCHES = b"/transparent/openai/v1/batches"
BODY = json.dumps({"model": "gpt-4o", "max_tokens": 5000}).encode()
OVERRIDE = (b"X-HTTP-Method-Override", b"POST")


async def guess_of(house: House, path: bytes, body: bytes, *fields: tuple[bytes, bytes]) -> Guess:
    governed(house, tpm=100_000)
    found = exchange(house, await judged(house, path, body, *fields))
    assert found.allowance is not None
    return guessed(found, found.allowance)


@pytest.mark.parametrize("path", [FILES, COUNTS])
async def test_m4_where_no_model_works_nothing_is_reserved_and_nothing_settled(house: House, path: bytes) -> None:
    assert await guess_of(house, path, BODY) == Guess(0, 0)
    limiter = Settled()
    governed(house, limiter, tpm=100_000, rpm=1)
    found = exchange(house, await judged(house, path, BODY))
    found.sent_at, found.passed = 1.0, 10**6
    settle(found, None, None, cut=False, status=200)
    assert limiter.ends == [NOTHING]
    assert exchange(house, await judged(house, path, BODY)).error is not None, "it was a request all the same"


async def test_what_only_looks_so_is_reserved(house: House) -> None:
    assert (await guess_of(house, BATCHES, BODY)).output == 5000, "a model works later"
    assert await guess_of(house, FILES, b"") == Guess(0, 0)
    assert (await guess_of(house, FILES, b"", OVERRIDE)).output == USUAL
    assert (await guess_of(house, FILES + b"?$httpMethod=POST", b"")).output == USUAL
    assert (await guess_of(house, NATIVE + b"?embeddings", BODY)).output == 5000, "a query is no operation"


async def test_h9_only_what_was_really_read_lowers_what_is_reserved(house: House) -> None:
    decoy = json.dumps({"model": "gpt-4o", "metadata": {"max_tokens": 1}, "messages": []}).encode()
    assert (await guess_of(house, NATIVE, decoy)).output == USUAL
    # Anthropic's protocol, and OpenAI answers: that body was read and written anew.
    translated = {"model": "gpt-4o", "max_tokens": 7, "messages": [{"role": "user", "content": "hello"}]}
    assert (await guess_of(house, b"/v1/messages", json.dumps(translated).encode())).output == 7
    translated["tools"] = [{"name": "a", "input_schema": {"type": "object", "properties": {}, "max_tokens": 1}}]
    translated["max_tokens"] = 3000
    assert (await guess_of(house, b"/v1/messages", json.dumps(translated).encode())).output == 3000
    assert (await guess_of(house, OURS, decoy)).output == USUAL
    for members, output in (
        ({"max_tokens": 7}, 7),
        ({"max_completion_tokens": 7, "n": 2}, 14),
        ({"max_tokens": 7, "max_gen_len": 1, "generationConfig": {"maxOutputTokens": 1}}, 7),
        ({"max_gen_len": 1, "parameters": {"max_new_tokens": 1}, "max_output_tokens": 1}, USUAL),
        ({"max_tokens": 7, "user": "x" * 8192}, USUAL),
    ):
        passed = json.dumps({"model": "gpt-4o", "messages": [], **members}).encode()
        assert (await guess_of(house, OURS, passed)).output == output, members
