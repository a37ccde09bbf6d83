"""What a use costs."""

import logging
from decimal import Decimal

import pytest

from llmauth.chat.messages import Usage
from llmauth.governance.prices import Price, Prices

SONNET = Price(input=Decimal(3), output=Decimal(15), cache_read=Decimal("0.3"), cache_write=Decimal("3.75"))
TABLE = {"claude-sonnet-*": SONNET, "claude-*": Price(input=Decimal(1), output=Decimal(5))}
WORD = Usage(input=1_000_000)


@pytest.mark.parametrize(
    ("usage", "cost"),
    [
        (Usage(input=1_000_000), "3"),
        (Usage(output=1_000_000, reasoning=400_000), "15"),
        (Usage(cache_read=1_000_000), "0.3"),
        (Usage(cache_write=1_000_000), "3.75"),
        (Usage(input=10, cache_read=100, cache_write=1000, output=7), "0.003915"),
        (Usage(), "0"),
    ],
)
def test_each_kind_of_token_has_its_price(usage, cost):
    assert SONNET.cost(usage) == Decimal(cost)


def test_what_has_no_price_of_its_own_costs_as_the_rest():
    plain = Price(input=Decimal(2), output=Decimal(4))
    assert plain.cost(Usage(cache_read=500_000, cache_write=500_000)) == 2
    thought = Price(input=Decimal(2), output=Decimal(4), reasoning=Decimal(8))
    assert thought.cost(Usage(output=1_000_000, reasoning=500_000)) == 6
    assert thought.cost(Usage(output=0, reasoning=500_000)) == 0  # no part is larger than the whole


def test_the_most_is_never_less_than_any_cost():
    price = Price(input=Decimal(2), output=Decimal(4), cache_write=Decimal(3), reasoning=Decimal(8))
    most = price.most(100, 50)
    for usage in (Usage(input=100, output=50), Usage(cache_write=100, output=50, reasoning=50), Usage(cache_read=100)):
        assert price.cost(usage) <= most


def test_the_first_glob_counts_and_any_name_will_do():
    prices = Prices(TABLE)
    assert prices.cost(WORD, "claude-sonnet-4-5") == 3
    assert prices.cost(WORD, "us.anthropic.claude-haiku-4-5-v1:0") == 1
    assert prices.cost(WORD, None, "claude-haiku") == 1
    assert prices.cost(WORD, "cheap", "claude-haiku") == 1
    assert prices


def test_a_price_for_all_that_are_left_stands_behind_every_name():
    prices = Prices({"*": Price(input=Decimal(20)), **TABLE})
    assert prices.cost(WORD, "cheap", "claude-haiku") == 1
    assert prices.cost(WORD, "gpt-9") == 20
    assert prices.cost(WORD) == 20
    assert prices.cost(WORD, "team/gpt-9") == 20
    assert prices.unpriced == 0


def test_models_without_a_price_are_counted_and_told_once(caplog):
    prices = Prices(TABLE)
    with caplog.at_level(logging.WARNING):
        assert [prices.cost(WORD, "gpt-9") for _ in range(3)] == [None] * 3
        assert prices.cost(WORD) is None
    assert prices.unpriced == 4
    assert [record.__dict__["model"] for record in caplog.records] == ["gpt-9", "a request without a model"]
    assert prices.most(10, 10, "gpt-9") == 0


def test_without_a_table_nothing_is_told(caplog):
    assert Prices().cost(WORD, "gpt-9") is None
    assert not caplog.records
    assert not Prices()


def test_names_that_callers_make_up_fill_neither_memory_nor_log(caplog, monkeypatch):
    monkeypatch.setattr("llmauth.governance.prices._MOST_REMEMBERED", 10)
    monkeypatch.setattr("llmauth.governance.prices._MOST_TOLD", 5)
    prices = Prices(TABLE)
    for number in range(100):
        prices.cost(WORD, f"made-up-{number}" + "x" * 5000)
    assert len(prices._found) <= 10
    assert len(caplog.records) == 5
    assert all(len(record.__dict__["model"]) < 500 for record in caplog.records)
