"""What was reserved is settled by what was used, also of an answer that was cut before it told."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from addons.settling import settle
from llmauth.chat.messages import Usage
from llmauth.errors import UpstreamTimeout
from llmauth.governance.demands import Permit
from llmauth.governance.memory import MemoryLimiter
from llmauth.rules import Budget
from tests.addons.conftest import House
from tests.addons.test_govern import OURS, exchange, governed, judged


class Settled(MemoryLimiter):
    """Tells what it was told at the end."""

    def __init__(self) -> None:
        super().__init__()
        self.ends: list[tuple[int | None, Decimal | None]] = []

    def settle(self, permit: Permit, tokens: int | None, cost: Decimal | None) -> None:
        self.ends.append((tokens, cost))
        super().settle(permit, tokens, cost)


ANSWERED = {"status": 200, "whole": True}
ENDS = [
    ("whole", {"sent_at": 1.0}, Usage(input=100, output=50), ANSWERED, (150, Decimal("0.0006"))),
    ("not sent", {}, None, ANSWERED, (0, Decimal(0))),
    ("refused by the provider", {"sent_at": 1.0}, None, {"status": 500, "whole": True}, (0, Decimal(0))),
    ("no answer", {"sent_at": 1.0, "error": UpstreamTimeout("late")}, None, ANSWERED, (0, Decimal(0))),
    ("cut", {"sent_at": 1.0, "passed": 1000}, Usage(input=100), {"status": 200, "whole": False}, (150, None)),
    ("told nothing", {"sent_at": 1.0, "passed": 400}, None, {"status": 200, "whole": False}, (20, None)),
]


@pytest.mark.parametrize(("fields", "usage", "end", "settled"), [row[1:] for row in ENDS], ids=[row[0] for row in ENDS])
async def test_what_is_settled(
    house: House, fields: dict[str, Any], usage: Usage | None, end: dict[str, Any], settled: tuple[int, Decimal | None]
) -> None:
    """Reserved first; afterwards what was used, also by an answer that was cut before it told."""
    limiter = Settled()
    governed(house, limiter, tpm=100_000, budget=Budget(amount=Decimal(1), per="day"))
    found = exchange(house, await judged(house, OURS))
    for name, value in fields.items():
        setattr(found, name, value)
    settle(found, usage, **end)
    tokens, cost = limiter.ends[0]
    assert tokens is not None
    if settled[1] is None:
        assert tokens >= settled[0]
    else:
        assert (tokens, cost) == settled
    assert not found.admission.open if found.admission else False
