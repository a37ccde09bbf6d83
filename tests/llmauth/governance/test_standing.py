"""What is left, in the header fields of each provider."""

import pytest

from llmauth.governance.buckets import UNIT
from llmauth.governance.demands import Demand, Permit, Reading, Scope
from llmauth.governance.standing import rate_limit_fields, standing, standing_of

WALL = 1_800_014_400.0
SCOPES = (Scope(key="user:a", rpm=60, tpm=1000), Scope(key="key:k", rpm=30))
READINGS = (Reading(requests=59 * UNIT, tokens=400 * UNIT), Reading(requests=20 * UNIT))


def test_the_nearest_limit_is_told():
    found = standing_of(SCOPES, READINGS)
    assert found.requests is not None
    assert (found.requests.limit, found.requests.remaining, found.requests.reset) == (30, 20, 20.0)
    assert found.tokens is not None
    assert (found.tokens.limit, found.tokens.remaining, found.tokens.reset) == (1000, 400, 36.0)
    assert standing(Permit(Demand(scopes=SCOPES), READINGS)) == found


def test_the_fields_of_openai():
    fields = dict(rate_limit_fields("openai", standing_of(SCOPES, READINGS), WALL))
    assert fields == {
        b"x-ratelimit-limit-requests": b"30",
        b"x-ratelimit-remaining-requests": b"20",
        b"x-ratelimit-reset-requests": b"20s",
        b"x-ratelimit-limit-tokens": b"1000",
        b"x-ratelimit-remaining-tokens": b"400",
        b"x-ratelimit-reset-tokens": b"36s",
    }


def test_the_fields_of_anthropic():
    fields = dict(rate_limit_fields("anthropic", standing_of(SCOPES, READINGS), WALL))
    assert fields[b"anthropic-ratelimit-requests-remaining"] == b"20"
    assert fields[b"anthropic-ratelimit-requests-reset"] == b"2027-01-15T12:00:20Z"
    assert fields[b"anthropic-ratelimit-tokens-limit"] == b"1000"


@pytest.mark.parametrize("of", [None, "x", standing_of((), ())])
def test_no_limit_no_fields(of):
    assert rate_limit_fields("openai", of, WALL) == ()
    assert rate_limit_fields("bedrock", standing_of(SCOPES, READINGS), WALL) == ()


@pytest.mark.parametrize(("missing", "told"), [(UNIT // 1000, b"1ms"), (UNIT * 60, b"1m0s"), (UNIT * 90, b"1m30s")])
def test_lengths_of_time_as_openai_writes_them(missing, told):
    fields = dict(
        rate_limit_fields(
            "openai", standing_of((Scope(key="a", rpm=60),), (Reading(requests=60 * UNIT - missing),)), WALL
        )
    )
    assert fields[b"x-ratelimit-reset-requests"] == told


def test_debt_leaves_nothing():
    fields = dict(
        rate_limit_fields("openai", standing_of((Scope(key="a", tpm=60),), (Reading(tokens=-60 * UNIT),)), WALL)
    )
    assert fields[b"x-ratelimit-remaining-tokens"] == b"0"
    assert fields[b"x-ratelimit-reset-tokens"] == b"2m0s"
