"""What is lent for longer: shared, renewed, or read anew."""

from __future__ import annotations

import pytest

from llmauth.clock import ManualClock
from llmauth.secrets import Secret
from llmauth.vaults.hashicorp.answers import Lent
from llmauth.vaults.hashicorp.leases import Leases
from llmauth.vaults.hashicorp.terms import Term

TOKEN, OTHER = Secret("hvs.one"), Secret("hvs.two")
LENT = Lent(content={"api_key": Secret("k")}, life=600, lease_id="x/1", renewable=True)


class Renewing:
    """Gives what it is told to, and keeps what it was asked."""

    def __init__(self, *lives: float | None) -> None:
        self.lives = list(lives)
        self.asked: list[tuple[str, float]] = []

    def __call__(self, lease_id: str, life: float) -> float | None:
        self.asked.append((lease_id, life))
        return self.lives.pop(0)


@pytest.fixture
def leases() -> tuple[Leases, ManualClock]:
    clock = ManualClock()
    leases = Leases(clock)
    leases.keep("p", TOKEN, LENT, 600, Term.begun(None, clock))
    return leases, clock


def life(lent: Lent | None) -> float | None:
    return None if lent is None else lent.life


@pytest.mark.parametrize(
    ("age", "given"), [(0, 600), (59, 541), (61, None), (399, None), (400, 600), (599, 600), (600, None)]
)
def test_by_age(leases: tuple[Leases, ManualClock], age: float, given: float | None) -> None:
    held, clock = leases
    clock.advance(age)
    renew = Renewing(600)
    assert life(held.again("p", TOKEN, 9999, renew)) == given
    assert renew.asked == ([("x/1", 600)] if 400 <= age < 600 else [])


def test_it_dies_with_its_token(leases: tuple[Leases, ManualClock]) -> None:
    held, clock = leases
    assert held.again("p", OTHER, 9999, Renewing()) is None
    clock.advance(450)
    assert life(held.again("p", TOKEN, 500, Renewing(600))) == 500


@pytest.mark.parametrize("renewed", [None, 399])
def test_it_is_given_up_at_its_last_end(leases: tuple[Leases, ManualClock], renewed: float | None) -> None:
    held, clock = leases
    clock.advance(450)
    assert held.again("p", TOKEN, 9999, Renewing(renewed)) is None


def test_what_cannot_be_renewed_is_not_kept(leases: tuple[Leases, ManualClock]) -> None:
    held, clock = leases
    lasting = Lent(content={}, life=600, lease_id="x/2")
    held.keep("p", TOKEN, lasting, 600, Term.begun(None, clock))
    assert held.again("p", TOKEN, 9999, Renewing()) is None
    assert held.lock("p") is held.lock("p")
    assert held.lock("p") is not held.lock("q")


def test_what_a_provider_refused_is_read_anew_however_young_it_is(leases: tuple[Leases, ManualClock]) -> None:
    held, _ = leases
    held.forget("p")
    held.forget("another")
    renew = Renewing()
    assert held.again("p", TOKEN, 9999, renew) is None
    assert renew.asked == []
