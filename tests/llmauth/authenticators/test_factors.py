"""A6: who owes a second factor, and what a code proves, by a real store."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pyotp
import pytest

from llmauth.authenticators.factors import SecondFactors, require_code
from llmauth.clock import ManualClock
from llmauth.context import Identity
from llmauth.errors import Forbidden, SecondFactorRequired
from llmauth.storage.factors import Enrolment
from llmauth.storage.home import StateError
from llmauth.storage.keys import KeyStore


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "keys.db"


@pytest.fixture
def store(path: Path, clock: ManualClock) -> Iterator[KeyStore]:
    opened = KeyStore(path, clock)
    yield opened
    opened.close()


@pytest.fixture
def factors(store: KeyStore, clock: ManualClock) -> SecondFactors:
    return SecondFactors(store, clock)


@pytest.fixture
def due(store: KeyStore) -> Identity:
    """Somebody who has shown a key, and owes its code."""
    record = store.create("ci")[0]
    return Identity(user="ci", method="api_key", key_id=record.id, key_name="ci", factor_due="code")


@pytest.fixture
def enrolment(store: KeyStore, due: Identity) -> Enrolment:
    return store.enrol("ci")


def code(enrolment: Enrolment, clock: ManualClock, step: int = 0) -> str:
    return pyotp.TOTP(enrolment.secret.reveal()).generate_otp(int(clock.wall() // 30) + step)


def wrong_codes(enrolment: Enrolment, clock: ManualClock, count: int) -> list[str]:
    right = {code(enrolment, clock, step) for step in range(-3, 4)}
    return [one for one in map("{:06}".format, range(count + 7)) if one not in right][:count]


def refused(factors: SecondFactors, identity: Identity, text: str) -> SecondFactorRequired:
    with pytest.raises(SecondFactorRequired) as error:
        factors.prove(identity, text)
    return error.value


def test_a_code_pays_what_was_due_and_changes_nothing_else(
    factors: SecondFactors, due: Identity, enrolment: Enrolment, clock: ManualClock
) -> None:
    proved = factors.prove(due, code(enrolment, clock))
    assert (proved.second_factor, proved.factor_due) == (True, None)
    assert (proved.user, proved.key_id, proved.method) == (due.user, due.key_id, "api_key")


def test_the_time_of_the_clock_counts(
    factors: SecondFactors, due: Identity, enrolment: Enrolment, clock: ManualClock
) -> None:
    early = code(enrolment, clock)
    clock.advance(90)
    assert refused(factors, due, early).reason == "factor_wrong"
    assert factors.prove(due, code(enrolment, clock)).second_factor


def test_wrong_used_and_never_enrolled_sound_the_same(
    factors: SecondFactors, due: Identity, store: KeyStore, clock: ManualClock
) -> None:
    never = refused(factors, due, "123456")
    enrolment = store.enrol("ci")
    used = code(enrolment, clock)
    factors.prove(due, used)
    spent, wrong = refused(factors, due, used), refused(factors, due, wrong_codes(enrolment, clock, 1)[0])
    assert {one.sentence for one in (never, spent, wrong)} == {wrong.sentence}
    assert {one.reason for one in (never, spent, wrong)} == {"factor_wrong"}
    assert (wrong.status, wrong.code) == (401, "second_factor_required")
    assert never.detail.endswith("none")


def test_five_wrong_codes_lock_even_the_right_one_and_say_for_how_long(
    factors: SecondFactors, due: Identity, enrolment: Enrolment, clock: ManualClock
) -> None:
    for text in wrong_codes(enrolment, clock, 5):
        assert refused(factors, due, text).reason == "factor_wrong"
    locked = refused(factors, due, code(enrolment, clock))
    assert (locked.status, locked.reason) == (401, "factor_locked")
    assert "Try again in 30 seconds." in locked.sentence
    clock.advance(29.5)
    assert "in 1 seconds" in refused(factors, due, code(enrolment, clock)).sentence
    clock.advance(1)
    assert factors.prove(due, code(enrolment, clock)).second_factor


def test_twenty_wrong_codes_are_all_refused_and_a_new_process_knows_of_them(
    factors: SecondFactors, due: Identity, enrolment: Enrolment, clock: ManualClock, path: Path
) -> None:
    reasons = [refused(factors, due, text).reason for text in wrong_codes(enrolment, clock, 20)]
    assert reasons == ["factor_wrong"] * 5 + ["factor_locked"] * 15
    again = KeyStore(path, clock)
    try:
        assert refused(SecondFactors(again, clock), due, code(enrolment, clock)).reason == "factor_locked"
    finally:
        again.close()


@pytest.mark.parametrize("kind", ["totp", "backup"])
def test_of_sixteen_at_once_one_code_lets_in_one(
    factors: SecondFactors, due: Identity, enrolment: Enrolment, clock: ManualClock, kind: str
) -> None:
    text = code(enrolment, clock) if kind == "totp" else enrolment.backup_codes[3].reveal()

    def ask(_: int) -> str:
        try:
            return "in" if factors.prove(due, text).second_factor else "out"
        except SecondFactorRequired as error:
            return error.reason

    with ThreadPoolExecutor(16) as pool:
        said = list(pool.map(ask, range(16)))
    assert sorted(said) == ["factor_wrong"] * 15 + ["in"]


def test_defect_08_a_backup_code_is_only_hashed_and_taken_once(
    factors: SecondFactors, due: Identity, enrolment: Enrolment, path: Path
) -> None:
    """2.9 row 8: backup codes in plain text."""
    texts = [one.reveal() for one in enrolment.backup_codes]
    assert factors.prove(due, texts[0]).second_factor
    assert refused(factors, due, texts[0]).reason == "factor_wrong"
    with closing(sqlite3.connect(path)) as connection:
        kept = "\n".join(connection.iterdump())
    assert kept.count('INSERT INTO "backup_codes"') == 10
    assert [text for text in texts if text in kept or text.replace("-", "") in kept] == []


def test_no_code_and_no_seed_is_in_what_is_refused(
    factors: SecondFactors, due: Identity, enrolment: Enrolment, clock: ManualClock
) -> None:
    text = wrong_codes(enrolment, clock, 1)[0]
    error = refused(factors, due, text)
    for said in (error.sentence, error.detail, repr(error)):
        assert text not in said
        assert enrolment.secret.reveal() not in said


def test_a_store_that_cannot_be_asked_proves_nothing(
    factors: SecondFactors, due: Identity, enrolment: Enrolment, clock: ManualClock, store: KeyStore, path: Path
) -> None:
    store.close()
    path.write_bytes(b"not a database, by far" * 100)
    with pytest.raises(StateError):
        factors.prove(due, code(enrolment, clock))


@pytest.mark.parametrize("code", [None, "123456"])
def test_who_has_no_second_factor_and_needs_one_is_told_the_command(code: str | None) -> None:
    identity = Identity(user="u", method="api_key", key_id="k1", key_name="ci", factor_due="enrolment")
    with pytest.raises(Forbidden) as error:
        require_code(identity, code)
    assert (error.value.status, error.value.code) == (403, "second_factor_not_enrolled")
    assert "llmauth keys enrol-totp ci" in error.value.sentence


def test_who_owes_a_code_is_told_where_to_put_it() -> None:
    identity = Identity(user="u", method="api_key", key_id="k1", factor_due="code")
    with pytest.raises(SecondFactorRequired) as error:
        require_code(identity, None)
    assert error.value.reason == "factor_missing"
    assert "X-TOTP-Code" in error.value.sentence
    assert "/auth/login" in error.value.sentence
    assert require_code(identity, "") == "", "an empty one is a code, and a wrong one"
