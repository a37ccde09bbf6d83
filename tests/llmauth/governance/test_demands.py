"""What a request asks, and what became of it, in whole numbers."""

from decimal import Decimal

import pytest

from llmauth.governance.demands import MOST_MONEY, MOST_TOKENS, NANOS, Demand, Permit, Reading, Scope, nanos, scopes_of
from llmauth.rules import Budget, Rules


@pytest.mark.parametrize(
    ("money", "expected"),
    [
        ("0", 0),
        ("-1", 0),
        ("1", NANOS),
        ("0.0000000001", 1),
        ("1.0000000001", NANOS + 1),
        ("1e30", MOST_MONEY * NANOS),
    ],
)
def test_money_is_rounded_up(money, expected):
    assert nanos(Decimal(money)) == expected


def test_only_rules_with_numbers_have_a_scope():
    assert Scope.of("user:a", Rules(models=("x",))) is None
    found = Scope.of("user:a", Rules(rpm=5, budget=Budget(amount=Decimal(2), per="week")))
    assert found == Scope(key="user:a", rpm=5, budget=2 * NANOS, per="week")
    assert [one.key for one in scopes_of({"user:a": Rules(rpm=1), "key:b": Rules()})] == ["user:a"]


def test_at_least_one_token_is_reserved_and_not_beyond_all_bounds():
    assert Demand(scopes=()).reserved == 1
    assert Demand(scopes=(), tokens=10**20).reserved == MOST_TOKENS


def test_a_settlement_is_the_difference_to_what_was_reserved():
    scope = Scope(key="user:a", tpm=5)
    permit = Permit(Demand(scopes=(scope,), tokens=100, cost=Decimal(2)), (Reading(began=7),))
    settled = permit.settlement(30, Decimal(3))
    assert (settled.tokens, settled.nanos, settled.began) == (-70, NANOS, (7,))
    assert permit.settlement(None, None)[1:3] == (0, 0)
    assert permit.settlement(-5, Decimal(-5))[1:3] == (-100, -2 * NANOS)


def test_what_was_let_in_during_an_outage_is_charged_whole():
    demand = Demand(scopes=(Scope(key="user:a", tpm=5),), tokens=100, cost=Decimal(2))
    permit = Permit(demand, (Reading(began=7),), alone=Permit(demand))
    assert permit.settlement(30, None)[1:] == (30, 2 * NANOS, (0,))
