"""Bytes of nobody's making: no meter raises, whatever comes, and none tells what was not told."""

from __future__ import annotations

import gzip
import random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmauth.chat.messages import Usage
from llmauth.context import ProviderType
from llmauth.usage.told import MOST
from tests.llmauth.usage.answers import Passing, ask
from tests.llmauth.usage.test_metering import STREAMED, WHOLE

CASES: list[tuple[ProviderType, str, dict[str, Any]]] = [*WHOLE.values(), *STREAMED.values()]
PASSING = [ask(*case) for case in CASES]
PIECES = [
    b"",
    b"\n",
    b"\r",
    b"\n\n",
    b"\0" * 4,
    b"\xff",
    b'"usage":{',
    b'"usage":',
    b"{",
    b"}",
    b"[",
    b"]",
    b'"',
    b"\\",
]
PIECES += [b"data:", b"null", b"-1", b"1e999", b"9" * 5000, b"[" * 3000, b'{"a":' * 3000, b'"usageMetadata":{', b"NaN"]


def checked(passing: Passing, pieces: list[bytes]) -> None:
    """Feeds, and reads in between; what is told is a count."""
    meter = passing.meter()
    for place, piece in enumerate(pieces):
        meter.feed(piece)
        if place % 7 == 0:
            meter.reading()
    reading = meter.reading(cut=bool(len(pieces) % 2))
    assert reading.usage is not None or reading.lacks is not None
    if reading.usage is not None:
        assert all(0 <= getattr(reading.usage, name) <= 2 * MOST for name in Usage.__slots__)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(PASSING), st.lists(st.one_of(st.binary(max_size=60), st.sampled_from(PIECES)), max_size=30))
def test_any_bytes(passing: Passing, pieces: list[bytes]) -> None:
    checked(passing, pieces)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(PASSING), st.randoms(use_true_random=False))
def test_answers_with_something_changed(passing: Passing, chance: random.Random) -> None:
    body = bytearray(passing.body)
    for _ in range(chance.randint(1, 6)):
        place = chance.randrange(len(body))
        body[place : place + chance.choice([0, 1, 1, 4, 200])] = chance.choice(PIECES)
    cuts = sorted(chance.sample(range(len(body)), min(len(body), chance.randint(0, 12))))
    checked(passing, [bytes(body[a:b]) for a, b in zip([0, *cuts], [*cuts, len(body)], strict=True)])


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(PASSING), st.randoms(use_true_random=False))
def test_coded_answers_with_something_changed(passing: Passing, chance: random.Random) -> None:
    coded = bytearray(gzip.compress(passing.body))
    for _ in range(chance.randint(0, 3)):
        coded[chance.randrange(len(coded))] ^= 1 << chance.randrange(8)
    headers = passing.headers.adding((b"content-encoding", b"gzip"))
    compressed = Passing(passing.provider, passing.path, passing.asked, passing.status, headers, [])
    checked(compressed, [bytes(coded[i : i + 50]) for i in range(0, len(coded), 50)])


@pytest.mark.parametrize("passing", PASSING, ids=lambda passing: passing.path[-30:])
def test_splits_make_no_difference_to_what_is_broken(passing: Passing) -> None:
    chance = random.Random(5)
    for _ in range(10):
        body = bytearray(passing.body)
        body[chance.randrange(len(body))] = chance.choice(b'{}"\n\x00')
        whole = passing.read([bytes(body)])
        for size in (1, 3, 100):
            assert passing.read([bytes(body[i : i + size]) for i in range(0, len(body), size)]) == whole
