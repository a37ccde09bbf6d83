"""Access-key pairs in memory: whose an id is, and when it is nobody's any more."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from llmauth.authenticators.pairs import METHOD, StoredPairs
from llmauth.clock import ManualClock
from llmauth.errors import Unauthenticated, Unavailable
from llmauth.rules import Rules
from llmauth.storage.home import StateUnusable
from llmauth.storage.keys import KeyStore


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def store(tmp_path: Path, clock: ManualClock) -> Iterator[KeyStore]:
    opened = KeyStore(tmp_path / "state" / "keys.db", clock)
    yield opened
    opened.close()


@pytest.fixture
def pairs(store: KeyStore, clock: ManualClock) -> StoredPairs:
    """Following the store only when told to: no thread runs."""
    made = StoredPairs(store, clock)
    made._feed.poll()
    return made


def reason(pairs: StoredPairs, key_id: str) -> str:
    with pytest.raises(Unauthenticated) as raised:
        pairs.secret_of(key_id)
    assert raised.value.message == "The credential is not valid."
    return raised.value.reason


def test_a_pair_is_known_with_its_secret_and_its_user(pairs: StoredPairs, store: KeyStore) -> None:
    record, key_id, secret = store.create_pair("ci", "alice", ["ops"], rules=Rules(rpm=5))
    assert pairs.secret_of(key_id) is None
    pairs._feed.poll()
    found = pairs.secret_of(key_id)
    assert found is not None
    assert found[0].reveal() == secret.reveal()
    identity = found[1]
    assert (identity.user, identity.method, identity.key_id, identity.key_name) == ("alice", METHOD, record.id, "ci")
    assert (identity.groups, identity.rules.rpm, identity.factor_due) == (("ops",), 5, None)
    assert secret.reveal() not in repr(found) + repr(pairs._held)


@pytest.mark.parametrize("key_id", ["", "LLMA", "LLMAAAAAAAAAAAAAAAAA", "llma", "\0", "\udcff", "A" * 10_000])
def test_what_nobody_has_is_nobodys(pairs: StoredPairs, store: KeyStore, key_id: str) -> None:
    store.create_pair("ci")
    pairs._feed.poll()
    assert pairs.secret_of(key_id) is None


def test_other_keys_are_no_pairs(pairs: StoredPairs, store: KeyStore) -> None:
    record, _ = store.create("ci")
    pairs._feed.poll()
    assert pairs.secret_of(record.id) is None


def test_an_id_is_told_by_every_letter(pairs: StoredPairs, store: KeyStore) -> None:
    _, key_id, _ = store.create_pair("ci")
    pairs._feed.poll()
    for near in (key_id.lower(), key_id[:-1], key_id + "A", f" {key_id}", key_id.swapcase()):
        assert pairs.secret_of(near) is None


def test_a_revoked_pair_ends_and_its_secret_is_forgotten(pairs: StoredPairs, store: KeyStore) -> None:
    _, key_id, secret = store.create_pair("ci")
    pairs._feed.poll()
    assert pairs.secret_of(key_id) is not None
    store.revoke("ci")
    pairs._feed.poll()
    assert reason(pairs, key_id) == "revoked"
    assert pairs._held[key_id].secret is None
    assert secret.reveal()


def test_a_pair_ends_with_its_time(pairs: StoredPairs, store: KeyStore, clock: ManualClock) -> None:
    _, key_id, _ = store.create_pair("ci", expires_at=clock.wall() + 60)
    pairs._feed.poll()
    assert pairs.secret_of(key_id) is not None
    clock.advance(61)
    pairs._feed.poll()
    assert reason(pairs, key_id) == "expired"


def test_a_pair_owes_the_factor_that_it_was_made_with(pairs: StoredPairs, store: KeyStore) -> None:
    _, key_id, _ = store.create_pair("ci", require_totp=True)
    pairs._feed.poll()
    found = pairs.secret_of(key_id)
    assert found is not None
    assert found[1].factor_due == "enrolment"


def test_while_the_store_is_silent_nothing_is_judged(pairs: StoredPairs, store: KeyStore, clock: ManualClock) -> None:
    """Neither a pair that is known nor one that is not: it may have been revoked, or made, meanwhile."""
    _, key_id, _ = store.create_pair("ci")
    pairs._feed.poll()
    clock.advance(store.stale_after + 0.1)
    assert not pairs.usable()
    for one in (key_id, "LLMAAAAAAAAAAAAAAAAA"):
        with pytest.raises(Unavailable):
            pairs.secret_of(one)
    pairs._feed.poll()
    assert pairs.usable()
    assert pairs.secret_of(key_id) is not None


def test_a_secret_that_cannot_be_opened_is_a_fault_of_ours(
    pairs: StoredPairs, store: KeyStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Not a wrong signature, which its owner would look for in vain."""
    caplog.set_level(logging.ERROR)
    _, key_id, secret = store.create_pair("ci")

    def sealed(*_: object) -> None:
        raise StateUnusable("The sealing key is another one.")

    monkeypatch.setattr(store, "pair_secret", sealed)
    pairs._feed.poll()
    with pytest.raises(Unavailable):
        pairs.secret_of(key_id)
    assert [vars(one)["why"] for one in caplog.records] == ["The sealing key is another one."]
    assert secret.reveal() not in caplog.text


def test_its_last_use_is_noted(pairs: StoredPairs, store: KeyStore, clock: ManualClock) -> None:
    record, key_id, _ = store.create_pair("ci")
    pairs._feed.poll()
    assert pairs._feed.used == {}
    pairs.secret_of(key_id)
    assert pairs._feed.used == {record.id: clock.wall()}


def test_it_follows_by_itself(store: KeyStore, clock: ManualClock) -> None:
    pairs = StoredPairs(store, clock)
    assert not pairs.usable()
    pairs.start()
    assert pairs.usable()
    pairs.stop()
