"""A4, A5, acceptance checks 4 and 7: issued keys, judged in memory."""

import sqlite3
import statistics
import threading
import time

import bcrypt
import pytest

from llmauth.authenticators import keys as module
from llmauth.authenticators.base import Presented, Slot
from llmauth.authenticators.keys import REFUSED_SECONDS
from llmauth.clock import ManualClock
from llmauth.errors import Unauthenticated, Unavailable
from llmauth.storage.home import StateError
from llmauth.storage.key_text import _checksum, new_key
from llmauth.storage.keys import KeyStore
from tests.fixtures.keys import fill
from tests.fixtures.methods import issued_keys


def still_valid(keys, identity):
    """Whether the key of an identity is neither revoked nor expired now."""
    try:
        keys.current(identity)
    except Unauthenticated:
        return False
    return True


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state" / "keys.db"


@pytest.fixture
def store(path, clock):
    opened = KeyStore(path, clock)
    yield opened
    opened.close()


@pytest.fixture
def keys(store, clock):
    """Following the store only when asked to, by `follow`: no thread runs."""
    issued = issued_keys(store, clock)
    follow(issued)
    return issued


@pytest.fixture
def bcrypts(monkeypatch):
    """Counts the comparisons by bcrypt."""
    calls = []
    real = bcrypt.checkpw

    def counted(password, hashed):
        calls.append(hashed)
        return real(password, hashed)

    monkeypatch.setattr("llmauth.storage.key_text.bcrypt.checkpw", counted)
    return calls


def follow(keys):
    keys._feed.poll()


def presented(key, slot=Slot.API_KEY):
    return Presented(slot=slot, value=key if isinstance(key, str) else key.reveal())


def reason_of(call, *args):
    with pytest.raises(Unauthenticated) as error:
        call(*args)
    return error.value.reason


def test_a_key_is_proved_once_and_then_remembered(store, keys, bcrypts):
    record, key = store.create("ci", user="alice", groups=["a"])
    assert keys.recall(presented(key)) is None
    identity = keys.authenticate(presented(key))
    assert (identity.user, identity.method, identity.key_id, identity.key_name) == ("alice", "api_key", record.id, "ci")
    assert identity.groups == ("a",)
    for slot in (Slot.API_KEY, Slot.PROXY, Slot.QUERY_KEY):
        assert keys.recall(presented(key, slot)) is identity
    assert len(bcrypts) == 1


def test_a_wrong_key_of_the_same_length_and_id_fails(store, keys):
    """Acceptance check 4: what is compared is the whole secret."""
    record, key = store.create("ci")
    keys.authenticate(presented(key))
    other = f"llmauth_{record.id}_{new_key()[1].reveal()[19:-6]}"
    wrong = other + _checksum(other)
    assert len(wrong) == len(key.reveal())
    assert keys.recall(presented(wrong)) is None
    assert reason_of(keys.authenticate, presented(wrong)) == "bad_key"
    assert keys.recall(presented(key)).user == "ci"


def test_an_unknown_id_costs_as_much_as_a_known_one(store, keys, bcrypts):
    store.create("ci")
    assert reason_of(keys.authenticate, presented(new_key()[1])) == "unknown_key"
    assert len(bcrypts) == 1
    assert bcrypts[0].startswith(b"$2b$05$")


@pytest.mark.parametrize(
    "spoil", [lambda t: t[:-1] + ("A" if t[-1] != "A" else "B"), lambda t: t + "x" * 100, lambda t: t[:20]]
)
def test_a_mistyped_key_is_refused_without_bcrypt(store, keys, bcrypts, spoil):
    _, key = store.create("ci")
    wrong = presented(spoil(key.reveal()))
    assert keys.recognises(wrong)
    assert reason_of(keys.recall, wrong) == "malformed"
    assert reason_of(keys.authenticate, wrong) == "malformed"
    assert bcrypts == []


@pytest.mark.parametrize("value", ["llmauth_\udcff", "llmauth_\0", "llmauth_" + "é" * 10, "llmauth_"])
def test_odd_bytes_are_wrong_and_nothing_worse(keys, value):
    assert reason_of(keys.recall, presented(value)) == "malformed"
    assert reason_of(keys.authenticate, presented(value)) == "malformed"


def test_what_is_recognised_by_its_form(keys):
    assert keys.recognises(presented("llmauth_x"))
    for value in ("sk-placeholder", "", "LLMAUTH_x", " llmauth_x", "llmauth", "xllmauth_"):
        assert not keys.recognises(presented(value))
    assert not keys.recognises(presented("llmauth_x", Slot.SESSION)), "a session token is no key"


def test_a_refusal_is_remembered_for_a_while(store, keys, clock, bcrypts):
    wrong = presented(new_key()[1])
    assert reason_of(keys.authenticate, wrong) == "unknown_key"
    assert reason_of(keys.recall, wrong) == "unknown_key"
    assert len(bcrypts) == 1
    clock.advance(REFUSED_SECONDS)
    follow(keys)
    assert keys.recall(wrong) is None


def test_the_memory_of_refusals_is_bounded_and_forgets_the_oldest(keys, monkeypatch):
    monkeypatch.setattr(module, "REFUSED_LIMIT", 3)
    wrong = [presented(new_key()[1]) for _ in range(5)]
    for each in wrong:
        reason_of(keys.authenticate, each)
    assert [keys.recall(each) for each in wrong[:2]] == [None, None]
    assert [reason_of(keys.recall, each) for each in wrong[2:]] == ["unknown_key"] * 3


def test_a_key_made_this_moment_is_known_already(store, keys):
    _, key = store.create("ci")
    assert keys.authenticate(presented(key)).user == "ci"


def test_a_new_key_lifts_older_refusals(store, keys):
    wrong = presented(new_key()[1])
    reason_of(keys.authenticate, wrong)
    store.create("ci")
    follow(keys)
    assert keys.recall(wrong) is None


def test_a_revoked_key_ends_at_the_next_reading(store, keys):
    _, key = store.create("ci")
    identity = keys.authenticate(presented(key))
    store.revoke("ci")
    follow(keys)
    assert reason_of(keys.recall, presented(key)) == "revoked"
    assert reason_of(keys.current, identity) == "revoked"
    assert not still_valid(keys, identity)


def test_a_key_revoked_before_its_first_use_is_refused(store, keys):
    _, key = store.create("ci")
    store.revoke("ci")
    assert reason_of(keys.authenticate, presented(key)) == "revoked"


def test_an_expired_key_ends_without_any_reading(store, keys, clock):
    _, key = store.create("ci", expires_at=clock.wall() + 60)
    identity = keys.authenticate(presented(key))
    assert identity.expires_at == clock.wall() + 60
    clock.advance(59.9)
    follow(keys)
    assert keys.recall(presented(key)) is identity
    clock.advance(0.1)
    assert reason_of(keys.recall, presented(key)) == "expired"
    assert reason_of(keys.current, identity) == "expired"
    assert not still_valid(keys, identity)


def test_rotation_ends_the_old_key_and_lets_the_new_one_in(store, keys):
    _, old = store.create("ci")
    keys.authenticate(presented(old))
    _, new = store.rotate("ci")
    follow(keys)
    assert reason_of(keys.recall, presented(old)) == "revoked"
    assert keys.authenticate(presented(new)).user == "ci"


def test_an_identity_is_told_as_it_stands_now(store, keys, path):
    """A5: downgraded counts as revoked: another group, another hash."""
    record, key = store.create("ci", groups=["admins"])
    identity = keys.authenticate(presented(key))
    _change(path, "UPDATE keys SET groups = '[]'", record.id)
    follow(keys)
    assert keys.current(identity).groups == ()
    assert keys.recall(presented(key)).groups == ()
    _change(path, "UPDATE keys SET hash = 'x'", record.id)
    follow(keys)
    assert keys.recall(presented(key)) is None, "what was proved, was proved against another hash"


def _change(path, statement, key_id):
    raw = sqlite3.connect(path)
    with raw:
        raw.execute("UPDATE revision SET value = value + 1")
        raw.execute(f"{statement}, revision = (SELECT value FROM revision) WHERE id = ?", [key_id])
    raw.close()


def test_in_another_store_the_keys_of_the_old_one_are_nothing(store, keys, path, tmp_path):
    record, key = store.create("ci")
    identity = keys.authenticate(presented(key))
    other = KeyStore(tmp_path / "other" / "keys.db")
    _, other_key = other.create("ci")
    other.close()
    path.parent.rename(tmp_path / "old")
    (tmp_path / "other").rename(path.parent)
    follow(keys)
    assert reason_of(keys.current, identity) == "revoked"
    assert keys.recall(presented(key)) is None
    assert reason_of(keys.authenticate, presented(key)) == "unknown_key"
    assert keys.authenticate(presented(other_key)).user == "ci"
    assert [key_id for key_id, _ in keys._proved.values()] != [record.id]
    assert len(keys._proved) == 1


def test_when_the_store_cannot_be_read_nothing_is_judged(store, keys, clock, path):
    """F2: neither let in nor called wrong, until it can be read again."""
    _, key = store.create("ci")
    identity = keys.authenticate(presented(key))
    away = path.with_name("away")
    path.rename(away)
    clock.advance(1.5)
    assert not keys.usable()
    for call, argument in (
        (keys.recall, presented(key)),
        (keys.authenticate, presented(key)),
        (keys.current, identity),
        (lambda one: still_valid(keys, one), identity),
    ):
        with pytest.raises(Unavailable) as error:
            call(argument)
        assert (error.value.status, error.value.retry_after) == (503, 1)
    away.rename(path)
    follow(keys)
    assert keys.usable()
    assert keys.recall(presented(key)) == identity


def test_a_store_that_fails_for_a_moment_refuses_nobody(store, keys, path):
    _, key = store.create("ci")
    keys.authenticate(presented(key))
    _, other = store.create("other")
    follow(keys)
    path.rename(path.with_name("away"))
    assert keys.recall(presented(key)).user == "ci"
    assert keys.authenticate(presented(other)).user == "other"
    path.with_name("away").rename(path)


def test_it_starts_and_stops(store, path, caplog):
    issued = issued_keys(store, ManualClock())
    assert not issued.usable()
    with pytest.raises(Unavailable):
        issued.recall(presented(new_key()[1]))
    issued.start()
    assert issued.usable()
    assert "llmauth keys create NAME" in caplog.text
    issued.stop()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("keys-")]


def test_an_unreadable_store_refuses_to_start(store, path):
    issued = issued_keys(store, ManualClock())
    path.unlink()
    with pytest.raises(StateError):
        issued.start()


def test_the_last_use_is_noted(store, keys, clock):
    _, key = store.create("ci")
    keys.authenticate(presented(key))
    clock.advance(0.5)
    keys.recall(presented(key))
    keys._feed._flush()
    assert store.list()[0].last_used == clock.wall()


def test_ten_thousand_keys_are_as_quick_as_one(store, clock, monkeypatch):
    """Acceptance check 7: p99 of a warm authentication under 5 ms (measured: under 0.01 ms)."""
    same = "$2b$05$" + "." * 53
    monkeypatch.setattr("llmauth.storage.drafts.hash_key", lambda key: same)
    monkeypatch.setattr(module, "matches", lambda text, algorithm, hashed: hashed == same)
    made = fill(store, 10_000)
    keys = issued_keys(store, clock)
    follow(keys)
    chosen = [presented(key) for key in made[::10]]
    for each in chosen:
        keys.authenticate(each)
    took = []
    for each in chosen * 3:
        began = time.perf_counter()
        assert keys.recall(each) is not None
        took.append(time.perf_counter() - began)
    assert statistics.quantiles(took, n=100)[98] < 0.005


def test_nothing_of_a_key_is_kept_that_could_be_read(store, keys):
    _, key = store.create("ci")
    keys.authenticate(presented(key))
    assert key.reveal() not in repr(vars(keys))
    assert not any(key.reveal().encode() in digest for digest in keys._proved)
