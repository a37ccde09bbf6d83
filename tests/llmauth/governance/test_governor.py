"""The one place to ask."""

import asyncio
from decimal import Decimal

import pytest

from llmauth.chat.messages import Usage
from llmauth.clock import ManualClock
from llmauth.context import Identity
from llmauth.errors import Forbidden, InsufficientQuota, ModelNotAllowed, RateLimited
from llmauth.governance.estimates import Guess
from llmauth.governance.governor import Governor
from llmauth.governance.memory import MemoryLimiter
from llmauth.governance.policy import Policies, Policy
from llmauth.governance.prices import Price, Prices
from llmauth.rules import Budget, Rules
from tests.fixtures.limiters import SHARED, opened, place, seconds_of

ALICE = Identity(user="alice", method="api_key", key_id="k")
DOLLAR = Budget(amount=Decimal(1), per="day")
NO_GUESS = Guess(0, 0)
PRICES = Prices({"m*": Price(input=Decimal(100), output=Decimal(1000))})


def governor(limiter=None, **rules) -> Governor:
    clock = ManualClock()
    return Governor(Policies(Policy(rules=Rules(**rules))), PRICES, limiter or MemoryLimiter(clock), clock=clock)


def admitted(one: Governor, guess: Guess = NO_GUESS, model: str | None = "m1"):
    admission = one.admit_now(one.allowance(ALICE), guess, model)
    assert admission is not None
    return admission


def test_a_caller_without_limits_is_let_in_at_once():
    one = governor()
    admission = admitted(one, Guess(10**9, 10**9))
    assert admission.fields("openai") == ()
    assert admission.settle(Usage(input=10_000)) == 1


def test_requests_are_counted_and_the_rest_is_told():
    one = governor(rpm=2)
    assert dict(admitted(one).fields("openai"))[b"x-ratelimit-remaining-requests"] == b"1"
    admitted(one).release()  # it came to nothing, and was a request
    with pytest.raises(RateLimited) as caught:
        admitted(one)
    assert seconds_of(caught) == 30
    fields = dict(one.refused_fields("anthropic", caught.value.standing))
    assert fields[b"anthropic-ratelimit-requests-remaining"] == b"0"


def test_what_is_refused_by_a_rule_takes_nothing():
    one = governor(rpm=1, models=("m",), instances=("a",))
    allowance = one.allowance(ALICE)
    for _ in range(20):
        with pytest.raises(Forbidden):
            one.judge(ALICE, allowance, instance="b")
        with pytest.raises(ModelNotAllowed):
            one.judge_model(ALICE, allowance, "x")
    admitted(one)


def test_tokens_are_reserved_and_settled_by_real_usage():
    one = governor(tpm=1000)
    first = admitted(one, Guess(100, 800))
    with pytest.raises(RateLimited):
        admitted(one, Guess(100, 100))
    first.settle(Usage(input=100, output=50))
    admitted(one, Guess(100, 700)).settle(None)  # nobody knows: the reserve stays
    with pytest.raises(RateLimited):
        admitted(one, Guess(100, 0))


def test_a_stream_that_was_left_early_is_paid_as_far_as_it_came():
    one = governor(tpm=1000)
    admitted(one, Guess(100, 800)).settle(Usage(input=100, output=1), cut_after=6000)  # some 300 tokens
    with pytest.raises(RateLimited):
        admitted(one, Guess(601, 0))
    admitted(one, Guess(600, 0))


def test_h8_an_answer_that_did_not_tell_costs_what_was_reserved_or_what_has_passed():
    one = governor(tpm=1000, budget=DOLLAR)
    assert admitted(one, Guess(100, 300)).settle(None, untold_after=100) == Decimal("0.31")
    with pytest.raises(RateLimited):
        admitted(one, Guess(601, 0))
    cost = admitted(one, Guess(0, 1)).settle(Usage(input=10), untold_after=20_000)
    assert cost == Decimal("0.101"), "a hundred tokens, though one was reserved"


def test_what_reserves_nothing_says_so():
    one = governor(tpm=1000)
    assert admitted(one, Guess(0, 1)).reserves
    assert not admitted(one, Guess(0, 0)).reserves


def test_money_is_reserved_at_its_worst_and_settled_at_its_price():
    one = governor(budget=DOLLAR)
    first = admitted(one, Guess(1000, 500))  # 0.60 at most
    with pytest.raises(InsufficientQuota, match="this request may cost"):
        admitted(one, Guess(1000, 500))
    assert first.settle(Usage(input=1000, output=100)) == Decimal("0.2")
    admitted(one, Guess(1000, 500)).settle(Usage(input=1000, output=1000))  # more than anybody guessed
    with pytest.raises(InsufficientQuota, match="is spent"):
        admitted(one)


def test_a_model_without_a_price_is_counted_for_nothing():
    one = governor(budget=DOLLAR)
    before = PRICES.unpriced
    assert admitted(one, Guess(10**7, 10**7), "x").settle(Usage(output=10**7)) is None
    assert PRICES.unpriced == before + 1
    admitted(one, Guess(1000, 500))


def test_an_admission_ends_once():
    one = governor(concurrent=2, tpm=1000)
    first, second = admitted(one, Guess(400, 0)), admitted(one, Guess(400, 0))
    assert first.open
    first.settle(Usage(input=400))
    assert not first.open
    first.release()
    first.settle(None, cut_after=10**6)
    admitted(one, Guess(200, 0))
    with pytest.raises(RateLimited):
        admitted(one, Guess(0, 0))
    second.release()


async def test_start_and_stop_are_the_limiters():
    one = governor()
    await one.start()
    assert (await one.admit(one.allowance(ALICE))).open
    await one.stop()
    assert one.describe() == ""


@pytest.mark.parametrize("kind", SHARED)
async def test_where_others_count_it_is_the_same(kind, tmp_path, request):
    with place(kind, tmp_path, request) as where:
        async with opened(kind, where) as limiter:
            one = governor(limiter, rpm=5, tpm=1000, concurrent=2, budget=DOLLAR)
            allowance = one.allowance(ALICE)
            assert one.admit_now(allowance, Guess(300, 0), "m") is None
            admissions = await asyncio.gather(
                *(one.admit(allowance, Guess(300, 0), "m") for _ in range(10)), return_exceptions=True
            )
            assert sum(not isinstance(each, BaseException) for each in admissions) == 2
            assert all(isinstance(each, RateLimited) for each in admissions if isinstance(each, BaseException))
