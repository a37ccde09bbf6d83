"""A4, R6, F5: the store of issued keys."""

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import psycopg
import pytest

from llmauth.rules import Budget, Rules
from llmauth.storage.home import StateUnusable
from llmauth.storage.key_text import is_pair_id, is_session, key_id_of, matches
from llmauth.storage.keys import KeyNameTaken, KeyNotFound
from llmauth.storage.sealing import SealingKey
from llmauth.storage.stores import open_keys


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


@pytest.mark.parametrize("location", ["sqlite", "postgresql"], indirect=True)
def test_the_database_itself_refuses_a_second_living_name(store, raw):
    record, _ = store.create("ci")
    columns = 'name, "user", groups, algorithm, hash, created, revision'
    with pytest.raises((sqlite3.IntegrityError, psycopg.errors.UniqueViolation)):
        raw(f"INSERT INTO keys (id, {columns}) SELECT 'other', {columns} FROM keys WHERE id = '{record.id}'")


def test_a_name_is_free_again_after_its_key_ended(store):
    first, _ = store.create("ci")
    store.revoke("ci")
    second, _ = store.create("ci")
    assert [each.id for each in store.list()] == [second.id, first.id]


@pytest.mark.parametrize(
    "name", ["", " ", "a b", "-x", "a\n", "a\x1b[0m", "a,b", "x" * 101, "a\0", "a\udce9", "a'; DROP TABLE keys;--"]
)
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


@pytest.mark.parametrize("name", ["a\0b", "\udce9", "x" * 5000, "", "'; DROP TABLE keys;--"])
def test_odd_names_are_nobodys(store, name):
    store.create("ci")
    for call in (store.revoke, store.rotate, store.enrol):
        with pytest.raises(KeyNotFound):
            call(name)
    assert len(store.list()) == 1


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


def test_two_stores_of_one_database_see_each_other(store, opened):
    other = opened()
    record, _ = store.create("ci")
    assert other.list() == (record,)
    other.revoke(record.id)
    assert store.list()[0].revoked is not None


RULES = Rules(
    models=("claude-*",), hosts=(), rpm=60, tpm=5, concurrent=2, budget=Budget(amount=Decimal("0.10"), per="day")
)


def test_rules_are_kept_as_they_were_given(store):
    record, _ = store.create("ci", rules=RULES, require_totp=True)
    assert record.rules == RULES
    assert store.snapshot().records == (record,)
    assert str(store.list()[0].rules.budget.amount) == "0.10"
    assert store.list()[0].require_totp


def test_rules_that_cannot_be_meant_are_refused(store):
    for rules in (Rules(rpm=0), Rules(models=("",)), Rules(budget=Budget(amount=Decimal(0), per="day"))):
        with pytest.raises(ValueError):
            store.create("ci", rules=rules)
        with pytest.raises(ValueError):
            store.create_pair("ci", rules=rules)
    assert store.list() == ()


def test_rotating_keeps_the_rules(store):
    store.create("ci", rules=RULES, require_totp=True)
    new, _ = store.rotate("ci")
    assert (new.rules, new.require_totp, new.kind) == (RULES, True, "key")
    assert store.list()[0] == new


def test_a_pair_is_of_the_form_of_aws_and_its_secret_is_sealed(store, kept, home):
    record, access_key_id, secret = store.create_pair("ci", "alice", ["a"], rules=RULES)
    assert record.id == access_key_id
    assert is_pair_id(access_key_id)
    assert len(access_key_id) == 20
    assert len(secret.reveal()) == 40
    assert (record.kind, record.user, record.groups, record.rules) == ("aws", "alice", ("a",), RULES)
    assert store.pair_secret(store.list()[0]) == secret
    assert secret.reveal() not in kept.everything()
    assert record.sealed not in repr(record)
    if (home / "keys.db").exists():
        assert not any(secret.reveal().encode() in file.read_bytes() for file in home.iterdir())


def test_pairs_and_keys_share_their_names(store):
    store.create_pair("ci")
    with pytest.raises(KeyNameTaken):
        store.create("ci")
    store.revoke("ci")
    store.create("ci")
    with pytest.raises(KeyNameTaken):
        store.create_pair("ci")


def test_rotating_a_pair(store, clock):
    old, _, old_secret = store.create_pair("ci", expires_at=clock.wall() + 60, rules=RULES)
    new, secret = store.rotate("ci")
    assert (new.kind, new.rules, new.expires) == ("aws", RULES, clock.wall() + 60)
    assert new.id != old.id
    assert store.pair_secret(new) == secret != old_secret


def test_nothing_of_an_ended_pair_can_be_opened(store):
    record, *_ = store.create_pair("ci")
    ended = store.revoke("ci")
    assert ended.sealed is None
    assert store.list() == (ended,)
    with pytest.raises(KeyNotFound):
        store.pair_secret(ended)
    with pytest.raises(KeyNotFound):
        store.pair_secret(store.create("key")[0])
    assert record.sealed is not None


def test_a_sealed_secret_moved_to_another_pair_does_not_open(store, kept):
    """R7: whoever can write the database, but has no sealing key, gives nobody a secret that they know."""
    mine, *_ = store.create_pair("mine")
    theirs, *_ = store.create_pair("theirs")
    kept.seal_with(theirs.id, mine.sealed)
    moved = next(each for each in store.list() if each.id == theirs.id)
    with pytest.raises(StateUnusable, match="belongs to another record"):
        store.pair_secret(moved)


def test_without_its_sealing_key_keys_work_and_pairs_say_what_to_do(store, opened, home):
    store.create_pair("pair")
    _, key = store.create("key")
    (home / "sealing.key").unlink()
    late = opened()
    record = next(each for each in late.list() if each.kind == "aws")
    for call in (lambda: late.pair_secret(record), lambda: late.create_pair("x"), lambda: late.enrol("key")):
        with pytest.raises(StateUnusable, match=r"sealing.key is missing.*LLMAUTH_SEALING_KEY_FILE.*revoke"):
            call()
    assert not (home / "sealing.key").exists(), "another key would be of no use to what is sealed"
    late.create("other")
    late.rotate("key")
    late.revoke("pair")
    late.create_pair("pair")
    assert (home / "sealing.key").exists()
    assert key


def test_two_who_share_a_database_need_the_same_sealing_key(store, opened, tmp_path):
    store.create_pair("one")
    other = opened(sealing=SealingKey(tmp_path / "elsewhere"))
    other.create("key")
    with pytest.raises(StateUnusable, match=r"sealing\.key is missing"):
        other.create_pair("two")
    another = opened(sealing=SealingKey(None, _written(tmp_path / "mounted")))
    with pytest.raises(StateUnusable, match="sealed with another key"):
        another.enrol("key")
    with pytest.raises(StateUnusable, match="There is no sealing key"):
        opened(sealing=SealingKey(None)).enrol("key")


def _written(path):
    path.touch(0o600)
    path.write_bytes(b"k" * 32)
    return path


def open_one(store, clock, key=None, **more):
    given = {
        "user": "alice",
        "groups": ("a",),
        "method": "api_key",
        "second_factor": True,
        "ends_at": clock.wall() + 600,
    }
    return store.open_session(**{**given, "key_id": key and key.id, "key_name": key and key.name, **more})


def test_a_session(store, clock):
    key, _ = store.create("ci", user="alice")
    clock.advance(1)
    record, text = open_one(store, clock, key, rules=RULES)
    assert is_session(text.reveal())
    assert key_id_of(text.reveal()) == record.id
    assert len(text.reveal()) <= 72
    assert matches(text.reveal(), record.algorithm, record.hash)
    assert (record.kind, record.parent, record.method, record.second_factor) == ("session", key.id, "api_key", True)
    assert (record.name, record.user, record.groups, record.rules) == ("ci", "alice", ("a",), RULES)
    assert (record.created, record.expires) == (clock.wall(), clock.wall() + 600)
    assert store.list() == (key,)
    assert set(store.list(with_sessions=True)) == {key, record}
    assert set(store.snapshot().records) == {key, record}


def test_a_session_without_a_key_is_called_as_its_user(store, clock):
    record, _ = open_one(store, clock, method="oidc", second_factor=False)
    assert (record.name, record.parent, record.method, record.second_factor) == ("alice", None, "oidc", False)


@pytest.mark.parametrize("end", ["revoke", "rotate", "enrol"])
def test_a_session_ends_with_its_key_in_the_same_change(store, clock, end):
    """A5: no moment at which a session lives and its key does not."""
    key, _ = store.create("ci")
    other, _ = store.create("other")
    mine, _ = open_one(store, clock, key)
    theirs, _ = open_one(store, clock, other)
    before = store.snapshot().revision
    getattr(store, end)("ci")
    after = store.snapshot(before)
    assert after.revision == before + 1
    assert mine.id in {each.id for each in after.records if each.revoked is not None}
    assert [each.id for each in store.list(with_sessions=True) if each.kind == "session" and not each.revoked] == [
        theirs.id
    ]


def test_a_session_never_outlives_its_key(store, clock):
    key, _ = store.create("ci", expires_at=clock.wall() + 60)
    assert open_one(store, clock, key)[0].expires == clock.wall() + 60
    assert open_one(store, clock, key, ends_at=clock.wall() + 5)[0].expires == clock.wall() + 5
    clock.advance(60)
    with pytest.raises(KeyNotFound, match="has ended"):
        open_one(store, clock, key)


def test_no_session_of_a_key_that_is_gone_of_a_session_or_by_a_name(store, clock):
    key, _ = store.create("ci")
    session, _ = open_one(store, clock, key)
    for id_ in ("ci", "unknown", session.id, "", "a\0"):
        with pytest.raises(KeyNotFound):
            open_one(store, clock, key, key_id=id_)
    store.revoke("ci")
    with pytest.raises(KeyNotFound):
        open_one(store, clock, key)


def test_what_another_method_calls_its_credential_is_no_key_of_ours(store, clock):
    """It is not asked for, and yet its sessions are counted together."""
    made = []
    for _ in range(21):
        clock.advance(1)
        record, _ = open_one(store, clock, method="basic", key_id="bob", key_name="bob", issued=False)
        assert (record.parent, record.expires) == ("bob", clock.wall() + 600)
        made.append(record.id)
    living = {each.id for each in store.list(with_sessions=True) if each.revoked is None}
    assert living == set(made[1:])
    with pytest.raises(KeyNotFound):
        open_one(store, clock, key_id="bob")


def test_of_one_key_twenty_sessions_live_and_the_oldest_ends(store, clock):
    key, _ = store.create("ci")
    made = []
    for _ in range(23):
        clock.advance(1)
        made.append(open_one(store, clock, key)[0].id)
    living = {each.id for each in store.list(with_sessions=True) if each.kind == "session" and each.revoked is None}
    assert living == set(made[-20:])
    other, _ = store.create("other")
    open_one(store, clock, other)
    assert sum(not each.ended(clock.wall()) for each in store.list(with_sessions=True)) == 23


def test_without_a_key_twenty_of_one_user_and_method(store, clock):
    for _ in range(21):
        clock.advance(1)
        open_one(store, clock, method="oidc")
    open_one(store, clock, method="oidc", user="bob")
    open_one(store, clock, method="alb")
    assert sum(not each.ended(clock.wall()) for each in store.list(with_sessions=True)) == 22


def test_sessions_that_have_expired_count_for_nothing(store, clock):
    key, _ = store.create("ci")
    kept, _ = open_one(store, clock, key)
    for _ in range(25):
        clock.advance(1)
        open_one(store, clock, key, ends_at=clock.wall() + 0.5)
    assert next(each for each in store.list(with_sessions=True) if each.id == kept.id).revoked is None


def test_closing_a_session(store, clock):
    key, _ = store.create("ci")
    record, _ = open_one(store, clock, key)
    assert store.close_session(record.id)
    revision = store.snapshot().revision
    assert not store.close_session(record.id)
    assert not store.close_session(key.id), "a key is no session"
    assert not store.close_session("unknown")
    assert store.snapshot().revision == revision
    assert store.list() == (key,)


def test_a_session_is_revoked_and_rotated_by_its_id(store, clock):
    key, _ = store.create("ci")
    old, _ = open_one(store, clock, key)
    clock.advance(5)
    new, text = store.rotate(old.id)
    assert is_session(text.reveal())
    assert (new.parent, new.expires, new.second_factor, new.method) == (key.id, old.expires, True, "api_key")
    assert store.revoke(new.id).revoked == clock.wall()
    assert store.list() == (key,)


def test_sessions_are_forgotten_a_day_after_their_end(store, clock):
    key, _ = store.create("ci")
    gone, _ = store.create("gone")
    store.revoke("gone")
    expired, _ = open_one(store, clock, key, ends_at=clock.wall() + 10)
    closed, _ = open_one(store, clock, key, ends_at=clock.wall() + 90_000)
    lives, _ = open_one(store, clock, key, ends_at=clock.wall() + 90_000)
    store.close_session(closed.id)
    revision = store.version()
    clock.advance(86_400)
    assert store.forget_sessions() == 0
    clock.advance(11)
    assert store.forget_sessions() == 2
    assert store.forget_sessions() == 0
    kept = {each.id for each in store.list(with_sessions=True)}
    assert kept == {key.id, gone.id, lives.id}
    assert expired.id not in kept
    assert store.version() == revision


def test_changes_at_the_same_time_get_revisions_one_by_one(opened):
    stores = [opened() for _ in range(3)]
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda n: stores[n % 3].create(f"k{n}"), range(30)))
    assert stores[0].version()[1] == 30
    seen = [len(stores[0].snapshot(revision).records) for revision in range(31)]
    assert seen == list(range(30, -1, -1))


def test_times_of_use_and_revocations_do_not_block_each_other(opened, clock):
    """Two writers who take rows in different orders would wait for each other for good."""
    one, other = opened(), opened()
    key, _ = one.create("ci")
    ids = [open_one(one, clock, key)[0].id for _ in range(15)]
    with ThreadPoolExecutor(2) as pool:
        touching = [pool.submit(one.touch, dict.fromkeys(reversed(ids), float(n))) for n in range(20)]
        ending = [pool.submit(other.close_session, each) for each in ids]
        assert all(each.result(30) for each in ending)
        assert [each.result(30) for each in touching] == [None] * 20


def test_it_tells_when_it_could_not_be_read_for_a_second(store, clock):
    assert not store.is_behind()
    clock.advance(1.5)
    assert store.is_behind()
    store.version()
    assert not store.is_behind()


def test_how_long_what_is_known_counts(store, location, clock):
    assert store.shared == location.startswith(("postgresql", "redis"))
    assert store.stale_after == (60 if store.shared else 1)
    chosen = open_keys(location, clock, stale_after=5)
    assert chosen.stale_after == 5
    chosen.close()
