"""Policies and prices as they are written, and as those who judge by them get them."""

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from pydantic import ValidationError

from llmauth.config.policies import PoliciesSection, PolicySection, read_prices
from llmauth.config.problems import ConfigError
from llmauth.context import Identity
from llmauth.governance.prices import Price
from llmauth.rules import Budget, Rules

CONFIGS = Path(__file__).parents[3] / "configs"


def test_a_policy_becomes_rules():
    written = {
        "models": ["claude-*"],
        "instances": ["openai"],
        "protocols": ["openai", "transparent"],
        "hosts": ["*.OpenAI.com"],
        "methods": ["api_key", "session"],
        "rpm": 60,
        "tpm": "1000",
        "concurrent": 5,
        "budget": {"amount": 0.1, "per": "week"},
    }
    assert PolicySection.model_validate(written).policy().rules == Rules(
        models=("claude-*",),
        instances=("openai",),
        protocols=("openai", "transparent"),
        hosts=("*.openai.com",),
        methods=("api_key", "session"),
        rpm=60,
        tpm=1000,
        concurrent=5,
        budget=Budget(amount=Decimal("0.1"), per="week"),
    )


@pytest.mark.parametrize(
    ("written", "moment"),
    [
        ("2027-01-31", datetime(2027, 2, 1, tzinfo=UTC)),
        ("2027-01-31T18:00:00Z", datetime(2027, 1, 31, 18, tzinfo=UTC)),
        ("2027-01-31T18:00:00+02:00", datetime(2027, 1, 31, 16, tzinfo=UTC)),
        ("2027-01-31 18:00", datetime(2027, 1, 31, 18, tzinfo=UTC)),
    ],
)
def test_a_day_ends_when_it_is_over(written, moment):
    assert PolicySection.model_validate({"expires": written}).policy().expires == moment.timestamp()


@pytest.mark.parametrize(
    "written",
    [
        *({name: value} for name in ("rpm", "tpm", "concurrent") for value in (0, -1, True, 1.5, "many", 10**10)),
        *({"budget": {"amount": amount}} for amount in (0, -1, True, "nan", "inf", 10**8, None)),
        {"budget": {"amount": 1, "per": "year"}},
        {"budget": 40},
        {"models": "claude-*"},
        *({"models": [entry]} for entry in ("", " ", "a\nb", "x" * 201, "llmauth_a_b", 5)),
        {"protocols": ["grpc"]},
        {"methods": ["password"]},
        *({"expires": moment} for moment in ("soon", "2027-13-01", 5, True)),
        {"rate": 5},
    ],
)
def test_what_is_no_policy_refuses_to_start(written):
    with pytest.raises(ValidationError):
        PolicySection.model_validate(written)


def test_users_groups_and_the_default_become_policies():
    section = PoliciesSection.model_validate(
        {"default": {"rpm": 5}, "groups": {"g": {"rpm": 6}}, "users": {"alice": {"rpm": 7}}}
    )
    policies = section.policies()
    callers = [("bob", ()), ("bob", ("g",)), ("alice", ("g",))]
    found = [policies.rules_for(Identity(user=user, method="api_key", groups=groups)) for user, groups in callers]
    assert [rules.rpm for rules in found] == [5, 6, 7]
    assert [steps for steps, _ in section.every()] == [("default",), ("groups", "g"), ("users", "alice")]


def test_limits_that_are_off_leave_what_is_allowed():
    policies = PoliciesSection.model_validate({"limits": False, "default": {"rpm": 5, "models": ["a"]}}).policies()
    allowance = policies.allowance(Identity(user="bob", method="api_key", key_id="k", rules=Rules(rpm=1)))
    assert allowance.scopes == ()
    assert not allowance.allows_model("b")


def test_a_price_table_keeps_its_order(tmp_path):
    file = tmp_path / "prices.yaml"
    file.write_text(
        "gpt-5-mini*: {input: 0.25, output: 2}\ngpt-5*: {input: '1.25', cache_read: 0.125}\n'*': {input: 9}\n"
    )
    assert list(read_prices(file, {}).items()) == [
        ("gpt-5-mini*", Price(input=Decimal("0.25"), output=Decimal(2))),
        ("gpt-5*", Price(input=Decimal("1.25"), cache_read=Decimal("0.125"))),
        ("*", Price(input=Decimal(9))),
    ]
    assert read_prices(None, {}) == {}


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("a: {input: -1}", ":1: prices.a.input: found -1, wanted 0 or more"),
        ("a:\n  input: much\n", ":2: prices.a.input: found 'much', wanted a number"),
        ("a: {output: 1}", ":1: prices.a.input: required, and not there"),
        ("a: {input: 1, cache_rad: 1}", ":1: prices.a.cache_rad: unknown key, did you mean 'cache_read'?"),
        ("a: 5", ":1: prices.a: found 5, wanted a mapping (indented `key: value` lines)"),
        ("- a", ":1: found a list, wanted a mapping such as `instances:`"),
        ("a: {input: 1}\na: {input: 2}", ":2: a: set here and at "),
    ],
)
def test_what_is_no_price_is_told_with_its_line(tmp_path, text, fault):
    file = tmp_path / "prices.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        read_prices(file, {})
    assert f"{file}{fault}" in str(caught.value)


def test_a_price_table_that_is_not_there_is_told(tmp_path):
    with pytest.raises(ConfigError, match="the file cannot be read"):
        read_prices(tmp_path / "prices.yaml", {})


def test_the_price_table_that_comes_along_can_be_read():
    prices = read_prices(CONFIGS / "prices.yaml", {})
    assert len(prices) > 30
    assert all(price.output >= price.input or price.output == 0 for price in prices.values())
    assert all(price.cache_read is None or price.cache_read < price.input for price in prices.values())
