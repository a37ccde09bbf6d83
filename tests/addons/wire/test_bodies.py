from __future__ import annotations

import gc

import pytest

from addons.wire.bodies import Body, held, over_limit
from llmauth.config.limits import Limits
from llmauth.errors import BodyTooLarge, Unavailable


@pytest.fixture(autouse=True)
def nothing_else() -> int:
    gc.collect()
    return held.bytes


@pytest.mark.parametrize("pieces", [[], [b"one"], [b"one", b"two"], [b"", b"one", b"", b"two", b"three"]])
def test_a_body_is_what_came(pieces: list[bytes]) -> None:
    body = Body()
    for piece in pieces:
        body += piece
    assert (bytes(body), len(body), bool(body)) == (b"".join(pieces), sum(map(len, pieces)), bool(pieces))


def test_one_piece_is_kept_as_it_came() -> None:
    body, piece = Body(), b"x" * 1000
    body += piece
    assert bytes(body) is piece


def test_several_pieces_are_given_out_without_a_copy() -> None:
    body = Body()
    for _ in range(100):
        body += b"x" * 1000
    assert bytes(body) is bytes(body)


def test_what_was_handed_on_is_counted_until_it_is_released(nothing_else: int) -> None:
    body = Body()
    body += b"x" * 10
    body += b"y" * 10
    whole = bytes(body)
    body.clear()
    assert (len(body), bytes(body), held.bytes - nothing_else) == (0, b"", 20)
    body.release()
    body.release()
    assert (held.bytes - nothing_else, len(whole)) == (0, 20)


def test_a_body_that_is_forgotten_is_not_counted(nothing_else: int) -> None:
    body = Body()
    body += b"x" * 10
    del body
    gc.collect()
    assert held.bytes == nothing_else


def test_why_a_body_is_refused(nothing_else: int) -> None:
    limits = Limits(body_bytes=10, buffered_bytes=nothing_else + 15)
    body = Body()
    body += b"x" * 10
    assert over_limit(limits, 10) is None
    assert over_limit(limits, 5, 5) is None
    assert isinstance(over_limit(limits, 11), BodyTooLarge)
    full = over_limit(limits, 6, 6)
    assert isinstance(full, Unavailable)
    assert full.retry_after
    body.release()
    assert over_limit(limits, 6, 6) is None
