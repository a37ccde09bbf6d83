"""Stop reasons and counts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmauth.chat.messages import Finish, Usage
from llmauth.codecs.anthropic.finishes import FINISHES, STOP_REASONS, finish_of, tier_of, usage_body, usage_of
from llmauth.codecs.reading import Malformed, Node


def test_every_finish_has_a_reason_and_every_reason_comes_back():
    assert set(STOP_REASONS) == set(Finish)
    assert all(STOP_REASONS[finish] == reason for reason, finish in FINISHES.items())


@pytest.mark.parametrize("reason", [None, "", "brand_new"])
def test_a_reason_that_is_new_is_an_end(reason):
    assert finish_of(reason) is Finish.STOP


COUNTS = st.integers(0, 10**9)


@given(st.builds(Usage, input=COUNTS, cache_read=COUNTS, cache_write=COUNTS, output=COUNTS, reasoning=COUNTS))
def test_counts_come_back(usage):
    assert usage_of(Node(usage_body(usage))) == usage


def test_null_is_nothing():
    assert usage_of(Node({"input_tokens": None, "output_tokens": 2, "output_tokens_details": None})) == Usage(output=2)
    assert usage_body(None)["output_tokens"] == 0


def test_counts_are_not_negative():
    with pytest.raises(Malformed):
        usage_of(Node({"input_tokens": -1}))


def test_tiers():
    assert tier_of(Node({"service_tier": "standard"})) == "default"
    assert tier_of(Node({"service_tier": "new"})) is None
    assert tier_of(None) is None
