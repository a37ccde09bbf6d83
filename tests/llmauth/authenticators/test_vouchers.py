"""What a service said: kept for its time, renewed before that, dropped when it holds no longer, and bounded."""

from __future__ import annotations

import threading
import time

import pytest

from llmauth.authenticators.base import wrong
from llmauth.authenticators.vouchers import Terms, Told, Vouchers
from llmauth.clock import ManualClock
from llmauth.context import Identity
from llmauth.errors import Unauthenticated, Unavailable

REVIEWED = Terms(good_for=60.0, renew_after=25.0)


class Service:
    """Says that every value is its own user, unless it is told otherwise."""

    def __init__(self, clock: ManualClock, life: float = 3600) -> None:
        self.asked: list[str] = []
        self.error: Exception | None = None
        self._clock = clock
        self._life = life

    def __call__(self, value: str) -> Told:
        self.asked.append(value)
        if self.error is not None:
            raise self.error
        identity = Identity(user=value.partition(":")[0], method="test")
        return Told(identity=identity, ends=self._clock.wall() + self._life)


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def service(clock):
    return Service(clock)


@pytest.fixture
def told(service, clock):
    return Vouchers(service, clock, REVIEWED)


def test_an_answer_is_kept(told, service) -> None:
    assert told.recall("alice") is None
    first = told.prove("alice")
    assert told.recall("alice") == told.current(first) == first
    assert (first.user, first.expires_at) == ("alice", 1_800_003_600.0)
    assert service.asked == ["alice"]
    assert told.knows("alice")
    assert not told.knows("alicf")


def test_an_answer_is_good_for_its_time_and_not_a_second_longer(told, clock) -> None:
    identity = told.prove("alice")
    clock.advance(59.9)
    assert told.recall("alice") == identity
    clock.advance(0.2)
    assert told.recall("alice") is None
    with pytest.raises(Unavailable):
        told.current(identity)


def test_its_age_counts_from_before_the_question(clock) -> None:
    """What happened while the service was slow may not be in its answer."""

    def slow(value: str) -> Told:
        clock.advance(50)
        return Told(identity=Identity(user=value, method="test"), ends=clock.wall() + 3600)

    told = Vouchers(slow, clock, REVIEWED)
    told.prove("alice")
    clock.advance(11)
    assert told.recall("alice") is None


def test_one_in_use_is_renewed_and_its_caller_sees_nothing_of_it(told, service, clock) -> None:
    identity = told.prove("alice")
    for _ in range(40):
        clock.advance(10)
        told.renew_due()
        assert told.current(identity).user == "alice"
        assert told.recall("alice") is not None
    assert 10 <= len(service.asked) <= 21


def test_one_that_holds_no_longer_is_dropped_with_what_it_proved(told, service, clock) -> None:
    identity = told.prove("alice")
    service.error = wrong("bad_key")
    clock.advance(26)
    told.renew_due()
    with pytest.raises(Unauthenticated) as refusal:
        told.current(identity)
    assert refusal.value.reason == "revoked"
    with pytest.raises(Unauthenticated):
        told.recall("alice")


def test_an_outage_is_outlived_for_the_time_that_an_answer_is_good(told, service, clock) -> None:
    identity = told.prove("alice")
    service.error = Unavailable("down")
    for _ in range(11):
        clock.advance(5)
        told.renew_due()
        assert told.current(identity) == identity
    clock.advance(5)
    told.renew_due()
    with pytest.raises(Unavailable):
        told.current(identity)
    service.error = None
    clock.advance(5)
    told.renew_due()
    assert told.current(identity).user == "alice"


def test_a_crash_of_the_question_is_an_outage(told, service, clock, caplog) -> None:
    identity = told.prove("alice")
    service.error = RuntimeError("canary-7f3a")
    clock.advance(26)
    told.renew_due()
    assert told.current(identity) == identity
    assert "canary" not in caplog.text
    assert caplog.records[-1].error == "RuntimeError"


def test_what_nobody_used_for_long_is_forgotten_and_not_asked_for(told, service, clock) -> None:
    identity = told.prove("alice")
    clock.advance(4201)
    told.forget_ended()
    told.renew_due()
    assert len(service.asked) == 1
    with pytest.raises(Unauthenticated):
        told.current(identity)


def test_one_ends_with_its_value(clock) -> None:
    told = Vouchers(Service(clock, life=30), clock, Terms(), ended_hint="Make another.")
    identity = told.prove("alice")
    clock.advance(30)
    for ended in (lambda: told.recall("alice"), lambda: told.current(identity)):
        with pytest.raises(Unauthenticated) as refusal:
            ended()
        assert (refusal.value.reason, refusal.value.hint) == ("expired", "Make another.")
    clock.advance(61)
    told.forget_ended()
    assert not told.knows("alice")


@pytest.mark.parametrize("jump", [-86_400.0, 86_400.0])
def test_a_wall_clock_that_jumps_lengthens_nothing(told, clock, jump) -> None:
    """F3: ages are those of the monotonic clock."""
    told.prove("alice")
    clock._wall += jump
    clock.advance(3600)
    with pytest.raises(Unauthenticated):
        told.recall("alice")


def test_a_value_that_has_ended_already_proves_nothing(clock) -> None:
    told = Vouchers(Service(clock, life=-1), clock, Terms())
    with pytest.raises(Unauthenticated):
        told.prove("alice")
    assert not told.knows("alice")


def test_a_wrong_value_is_remembered_for_some_seconds(told, service, clock) -> None:
    service.error = wrong("bad_key", "canary-7f3a")
    for _ in range(2):
        with pytest.raises(Unauthenticated):
            told.recall("alice") or told.prove("alice")
    assert len(service.asked) == 1
    service.error = None
    clock.advance(6)
    assert told.recall("alice") is None
    assert told.prove("alice").user == "alice"


def test_an_outage_is_not_remembered_as_a_wrong_value(told, service) -> None:
    service.error = Unavailable("down")
    with pytest.raises(Unavailable):
        told.prove("alice")
    assert told.recall("alice") is None


def test_nobody_pushes_the_others_out(service, clock) -> None:
    told = Vouchers(service, clock, REVIEWED, limit=10, each_user=3)
    told.prove("bob")
    for number in range(50):
        clock.advance(0.01)
        told.prove(f"alice:{number}")
    assert told.knows("bob")
    assert sum(told.knows(f"alice:{number}") for number in range(50)) == 3


def test_there_are_never_more_than_the_limit(service, clock) -> None:
    told = Vouchers(service, clock, REVIEWED, limit=10)
    for number in range(50):
        clock.advance(0.01)
        told.prove(f"user-{number}")
        told.recall("user-0")
    assert sum(told.knows(f"user-{number}") for number in range(50)) == 10
    assert told.knows("user-0")  # the one that was used goes last


def test_an_identity_of_another_is_not_taken_for_its_own(told) -> None:
    identity = told.prove("alice")
    other = Identity(user="bob", method="test", key_id=identity.key_id)
    with pytest.raises(Unauthenticated):
        told.current(other)
    with pytest.raises(Unauthenticated):
        told.current(Identity(user="alice", method="test"))


def test_neither_value_nor_secret_is_shown(told) -> None:
    told.prove("canary-7f3a")
    assert "canary" not in repr({name: held.value for name, held in told._held.items()})
    assert all("canary" not in name for name in told._held)


def test_values_are_kept_only_where_they_are_asked_for_again(service, clock) -> None:
    told = Vouchers(service, clock, Terms())
    told.prove("alice")
    assert [held.value for held in told._held.values()] == [None]


def test_its_threads_renew_while_others_read() -> None:
    clock = ManualClock()
    service = Service(clock)
    told = Vouchers(service, clock, REVIEWED)
    looked = threading.Event()
    identities = [told.prove(f"user-{number}") for number in range(200)]
    told.start(looked.set)
    try:
        assert looked.wait(5)
        clock.advance(26)
        ends = time.monotonic() + 10
        while len(service.asked) < 400 or told._renewing:
            assert time.monotonic() < ends
            assert all(told.current(identity) for identity in identities)
            time.sleep(0.01)
        clock.advance(40)  # older than a minute by now, were they those of the beginning
        assert all(told.current(identity) for identity in identities)
    finally:
        told.stop()


def test_a_look_that_fails_does_not_end_the_thread(told) -> None:
    looks = []

    def look() -> None:
        looks.append(1)
        raise RuntimeError

    told.start(look)
    try:
        ends = time.monotonic() + 5
        while len(looks) < 2:
            assert time.monotonic() < ends
            time.sleep(0.02)
    finally:
        told.stop()
