"""Rules come back as they were kept; what cannot be understood allows nothing."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmauth.rules import NO_RULES, Budget, Rules
from llmauth.storage.stored_rules import NOTHING, from_json, require, to_json

words = st.lists(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=20), max_size=3)
lists = st.none() | words.map(tuple)
numbers = st.none() | st.integers(1, 10**12)
budgets = st.none() | st.builds(
    Budget, amount=st.decimals("0.000001", 10**9), per=st.sampled_from(["hour", "day", "week", "month"])
)
rules = st.builds(
    Rules,
    models=lists,
    instances=lists,
    protocols=lists,
    hosts=lists,
    methods=lists,
    rpm=numbers,
    tpm=numbers,
    concurrent=numbers,
    budget=budgets,
)


@given(rules)
def test_they_come_back_as_they_were(given_):
    require(given_)
    assert from_json(json.loads(json.dumps(to_json(given_))), "id") == given_


def test_what_says_nothing_is_one_value():
    assert to_json(NO_RULES) == {}
    assert from_json({}, "id") is NO_RULES


def test_money_is_text_to_the_last_digit():
    assert to_json(Rules(budget=Budget(amount=Decimal("0.10"), per="day"))) == {
        "budget": {"amount": "0.10", "per": "day"}
    }


@pytest.mark.parametrize(
    "said",
    [
        *(None, [], "x", 5, {"unheard_of": 1}, {"rpm": "5"}, {"rpm": True}, {"rpm": 0}, {"rpm": -1}, {"rpm": 1.5}),
        *({"models": "claude"}, {"models": [1]}, {"models": [""]}, {"models": None}, {"models": ["x" * 500]}),
        *(
            {"budget": 5},
            {"budget": {}},
            {"budget": {"amount": 5, "per": "day"}},
            {"budget": {"amount": "x", "per": "day"}},
        ),
        *({"budget": {"amount": "NaN", "per": "day"}}, {"budget": {"amount": "5", "per": "year"}}),
        *({"budget": {"amount": "-5", "per": "day"}}, {"budget": {"amount": "5", "per": "day", "of": "x"}}),
    ],
)
def test_what_is_not_understood_allows_nothing_and_is_told(said, caplog):
    assert from_json(said, "k1") is NOTHING
    (line,) = caplog.records
    assert vars(line)["key"] == "k1"
    assert NOTHING.models == NOTHING.instances == NOTHING.methods == ()


@pytest.mark.parametrize(
    "meant",
    [
        *(Rules(rpm=0), Rules(tpm=-5), Rules(concurrent=10**13), Rules(models=("a b",)), Rules(models=("a\x1b",))),
        *(Rules(budget=Budget(amount=Decimal("Infinity"), per="day")), Rules(hosts=("",))),
    ],
)
def test_what_cannot_be_meant_is_refused(meant):
    with pytest.raises(ValueError):
        require(meant)
