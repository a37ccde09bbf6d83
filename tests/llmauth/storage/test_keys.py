"""A4, R6, F5: the store of issued keys."""

import json
import sqlite3
import subprocess
import sys

import pytest

from llmauth.clock import ManualClock
from llmauth.storage.home import StateError
from llmauth.storage.key_text import key_id_of, matches
from llmauth.storage.keys import KeyNameTaken, KeyNotFound, KeyStore


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


def test_a_new_key(store, clock):
    record, key = store.create("ci", user="alice", groups=["a", "b"], expires_at=clock.wall() + 60)
    assert key_id_of(key.reveal()) == record.id
    assert matches(key.reveal(), record.algorithm, record.hash)
    assert (record.name, record.user, record.groups) == ("ci", "alice", ("a", "b"))
    assert (record.created, record.expires) == (clock.wall(), clock.wall() + 60)
    assert (record.revoked, record.last_used) == (None, None)
    assert store.list() == (record,)


def test_the_user_is_the_name_unless_given(store):
    assert store.create("ci")[0].user == "ci"


def test_the_key_itself_is_nowhere_on_the_disk(store, path):
    _, key = store.create("ci")
    secret = key.reveal().rpartition("_")[2].encode()
    for file in path.parent.iterdir():
        assert secret not in file.read_bytes()


def test_no_hash_is_shown(store):
    record, key = store.create("ci")
    assert record.hash not in repr(record) + repr(store.snapshot())
    assert key.reveal() not in repr((record, key))


def test_a_living_name_is_taken_and_the_sentence_says_what_to_do(store, clock):
    store.create("ci", expires_at=clock.wall() + 5)
    revision = store.snapshot().revision
    with pytest.raises(KeyNameTaken, match=r"a living key .* keys rotate ci.* keys revoke ci"):
        store.create("ci")
    clock.advance(5)
    with pytest.raises(KeyNameTaken, match="an expired key"):
        store.create("ci")
    assert store.snapshot().revision == revision


def test_the_database_itself_refuses_a_second_living_name(store, path):
    record, _ = store.create("ci")
    with sqlite3.connect(path) as raw, pytest.raises(sqlite3.IntegrityError):
        raw.execute(
            "INSERT INTO keys (id, name, user, groups, algorithm, hash, created) "
            "SELECT 'other', name, user, groups, algorithm, hash, created FROM keys WHERE id = ?",
            [record.id],
        )
    raw.close()


def test_a_name_is_free_again_after_its_key_ended(store):
    first, _ = store.create("ci")
    store.revoke("ci")
    second, _ = store.create("ci")
    assert [each.id for each in store.list()] == [second.id, first.id]


@pytest.mark.parametrize("name", ["", " ", "a b", "-x", "a\n", "a\x1b[0m", "a,b", "x" * 101, "a'; DROP TABLE keys;--"])
def test_names_that_would_be_misread_are_refused(store, name):
    for call in (
        lambda: store.create(name),
        lambda: store.create("ok", user=name),
        lambda: store.create("ok", groups=[name]),
    ):
        with pytest.raises(ValueError, match="letters, digits"):
            call()
    assert store.list() == ()


@pytest.mark.parametrize("name", ["a", "alice@corp", "system:serviceaccount:team-a:app", "müller", "a/b+c.d_e-f", "7"])
def test_names_that_people_have(store, name):
    assert store.create(name)[0].name == name


@pytest.mark.parametrize("by", ["name", "id"])
def test_revoking(store, clock, by):
    record, _ = store.create("ci")
    clock.advance(7)
    ended = store.revoke(getattr(record, by))
    assert ended.revoked == clock.wall()
    assert store.list() == (ended,)
    with pytest.raises(KeyNotFound, match="keys list"):
        store.revoke(getattr(record, by))


def test_a_name_that_is_anothers_id_is_not_guessed(store):
    first, _ = store.create("ci")
    store.create(first.id)
    with pytest.raises(KeyNotFound, match="Use the id"):
        store.revoke(first.id)


@pytest.mark.parametrize("by", ["name", "id"])
def test_rotating_gives_a_new_key_and_ends_the_old(store, clock, by):
    old, old_key = store.create("ci", user="alice", groups=["a"], expires_at=clock.wall() + 60)
    clock.advance(100)
    new, new_key = store.rotate(getattr(old, by))
    assert new.id != old.id
    assert new_key != old_key
    assert (new.name, new.user, new.groups) == ("ci", "alice", ("a",))
    assert new.expires == clock.wall() + 60, "the same length of life, from now"
    assert [(each.id, each.revoked) for each in store.list()] == [(new.id, None), (old.id, clock.wall())]
    assert not matches(old_key.reveal(), new.algorithm, new.hash)


def test_what_was_never_made_cannot_be_rotated(store):
    with pytest.raises(KeyNotFound):
        store.rotate("ci")


def test_every_change_has_a_revision_and_nothing_else_has(store):
    seen = [store.snapshot().revision]
    record, _ = store.create("ci")
    for change in (lambda: None, lambda: store.rotate("ci"), lambda: store.revoke("ci")):
        change()
        seen.append(store.snapshot().revision)
    assert seen == [0, 1, 2, 3]
    store.touch({record.id: 5.0})
    assert store.snapshot().revision == 3
    assert store.version()[1] == 3


def test_times_of_use_only_go_forward(store):
    first, _ = store.create("a")
    second, _ = store.create("b")
    store.touch({first.id: 10.0, second.id: 20.0, "unknown": 1.0})
    store.touch({first.id: 5.0, second.id: 25.0})
    store.touch({})
    assert [each.last_used for each in store.list()] == [10.0, 25.0]


def test_two_stores_of_one_file_see_each_other(store, path, clock):
    other = KeyStore(f"sqlite:///{path}", clock)
    record, _ = store.create("ci")
    assert other.list() == (record,)
    other.revoke(record.id)
    assert store.list()[0].revoked is not None
    other.close()


def test_a_locked_store_says_so(store, path, monkeypatch):
    monkeypatch.setattr("llmauth.storage.engine.BUSY_SECONDS", 0.05)
    impatient = KeyStore(path)
    blocker = sqlite3.connect(path, isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    with pytest.raises(StateError, match=r"in use by another program.*Try again"):
        impatient.create("ci")
    assert impatient.list() == (), "readers are not kept waiting"
    blocker.execute("ROLLBACK")
    impatient.create("ci")
    blocker.close()
    impatient.close()


_WRITER = """
import sys
from llmauth.storage.keys import KeyStore
store = KeyStore(sys.argv[1])
for n in range(100_000):
    record, key = store.create(f"{sys.argv[2]}-{n}")
    print(record.id, key.reveal(), flush=True)
    if n % 3 == 2:
        print("revoked", store.revoke(record.id).id, flush=True)
"""


def test_what_was_acknowledged_survives_kill_9(path):
    """F5: killed at a random moment of writing, again and again, and nothing that was told is lost."""
    keys, revoked = {}, set()
    for turn in range(6):
        process = subprocess.Popen(
            [sys.executable, "-c", _WRITER, str(path), f"t{turn}"], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(5 + 4 * turn)]
        process.kill()
        lines += process.stdout.readlines()
        process.wait(10)
        process.stdout.close()
        for first, second in (line.split() for line in lines if line.endswith("\n")):
            if first == "revoked":
                revoked.add(second)
            else:
                keys[first] = second
    store = KeyStore(path)
    kept = {each.id: each for each in store.list()}
    store.close()
    assert len(keys) > 60
    assert all(matches(text, kept[key_id].algorithm, kept[key_id].hash) for key_id, text in keys.items())
    assert all(kept[key_id].revoked is not None for key_id in revoked)
    assert revoked


def test_groups_are_kept_as_json_so_that_every_database_can(store, path):
    store.create("ci", groups=["a", "ü"])
    with sqlite3.connect(path) as raw:
        (groups,) = raw.execute("SELECT groups FROM keys").fetchone()
    raw.close()
    assert json.loads(groups) == ["a", "ü"]
