"""What values proved: bounded, ended by either clock, and kept as digests."""

from __future__ import annotations

import pytest

from llmauth.authenticators.proofs import REFUSED_LIMIT, REFUSED_SECONDS, Proofs
from llmauth.clock import ManualClock
from llmauth.context import Identity


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def alice(clock: ManualClock, life: float = 60) -> Identity:
    return Identity(user="alice", method="oidc", expires_at=clock.wall() + life)


def test_a_proof_is_found_by_its_value_alone(clock: ManualClock) -> None:
    proofs = Proofs(clock)
    proofs.keep(proofs.digest("value"), alice(clock), "k1")
    found = proofs.proved(proofs.digest("value"))
    assert found is not None
    assert (found.identity.user, found.mark) == ("alice", "k1")
    assert proofs.proved(proofs.digest("valuf")) is None
    assert Proofs(clock).digest("value") != proofs.digest("value")
    assert proofs.digest("\udcff") != proofs.digest("\udcfe")


def test_it_ends_by_the_clock_that_comes_first(clock: ManualClock) -> None:
    proofs = Proofs(clock)
    proofs.keep(b"d", alice(clock), "k1")
    proof = proofs.proved(b"d")
    assert proof is not None
    clock.advance(59)
    assert not proofs.ended(proof)
    clock._wall += 2
    assert proofs.ended(proof)
    clock._wall -= 3600
    clock._monotonic += 2
    assert proofs.ended(proof)


def test_as_many_as_there_is_room_for(clock: ManualClock) -> None:
    proofs = Proofs(clock, limit=3)
    for number in range(5):
        proofs.keep(bytes([number]), alice(clock), "k1")
    assert [number for number in range(5) if proofs.proved(bytes([number]))] == [2, 3, 4]
    for number in range(REFUSED_LIMIT + 10):
        proofs.refuse(number.to_bytes(4), "bad_key")
    assert proofs.refused((9).to_bytes(4)) is None
    assert proofs.refused((10).to_bytes(4)) == "bad_key"


def test_a_refusal_is_remembered_for_seconds(clock: ManualClock) -> None:
    proofs = Proofs(clock)
    proofs.refuse(b"d", "expired")
    assert proofs.refused(b"d") == "expired"
    clock.advance(REFUSED_SECONDS)
    assert proofs.refused(b"d") is None
    proofs.refuse(b"d", "expired")
    proofs.reconsider()
    assert proofs.refused(b"d") is None


def test_a_proof_takes_its_refusal_away(clock: ManualClock) -> None:
    proofs = Proofs(clock)
    proofs.refuse(b"d", "unknown_key")
    proofs.keep(b"d", alice(clock), "k1")
    assert proofs.refused(b"d") is None
    proofs.forget(b"d")
    assert proofs.proved(b"d") is None
