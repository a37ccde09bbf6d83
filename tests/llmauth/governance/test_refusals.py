"""The sentences of refusals."""

from decimal import Decimal

import pytest

from llmauth.errors import InsufficientQuota, RateLimited
from llmauth.governance.buckets import UNIT
from llmauth.governance.demands import NANOS, Demand, Reading, Scope
from llmauth.governance.refusals import refusal

NOON = 1_800_014_400.0  # 2027-01-15T12:00:00Z


def said(scope: Scope, reading: Reading, **asked) -> RateLimited:
    return refusal(Demand(scopes=(scope,), **asked), (reading,), NOON)


@pytest.mark.parametrize(
    ("scope", "reading", "seconds", "sentence"),
    [
        (
            Scope(key="user:a", rpm=60),
            Reading(requests=UNIT // 2),
            1,
            "The limit of 60 requests per minute of this user is reached. Try again in 1 second.",
        ),
        (
            Scope(key="key:k", rpm=2),
            Reading(requests=0),
            30,
            "The limit of 2 requests per minute of this key is reached. Try again in 30 seconds.",
        ),
        (
            Scope(key="user:a", concurrent=3),
            Reading(running=3),
            1,
            "This user may have 3 requests running at a time, and has. Wait for one of them to end.",
        ),
    ],
)
def test_which_limit_whose_and_when(scope, reading, seconds, sentence):
    error = said(scope, reading)
    assert (error.status, error.retry_after, error.sentence) == (429, seconds, sentence)
    assert type(error) is RateLimited
    assert error.retryable


def test_a_budget_tells_what_is_left_and_when_it_renews():
    scope = Scope(key="user:a", budget=40 * NANOS, per="day")
    error = said(scope, Reading(spent=39 * NANOS, began=int(NOON) // 86400 * 86400), cost=Decimal("1.5"))
    assert isinstance(error, InsufficientQuota)
    assert error.sentence == (
        "The budget of 40.00 per day of this user has 1.00 left, and this request may cost 1.50. "
        "It renews at 2027-01-16T00:00:00Z."
    )
    assert error.retry_after == 43_200
    assert not error.retryable


def test_the_limit_that_takes_longest_is_told():
    scopes = (Scope(key="key:k", rpm=60), Scope(key="user:a", tpm=60))
    error = refusal(Demand(scopes=scopes, tokens=30), (Reading(requests=0), Reading(tokens=0)), NOON)
    assert (error.limit, error.retry_after) == ("tokens", 30)


def test_nobody_elses_name_is_told():
    error = said(Scope(key="user:bob", rpm=1), Reading(requests=0))
    assert "bob" not in error.sentence
    assert "bob" in error.detail


def test_what_changed_meanwhile_is_a_refusal_all_the_same():
    assert said(Scope(key="user:a", rpm=60), Reading(requests=UNIT)).retry_after == 1


def test_what_never_refills_is_worth_a_try_in_an_hour():
    assert said(Scope(key="user:a", rpm=0), Reading(requests=0)).retry_after == 3600
