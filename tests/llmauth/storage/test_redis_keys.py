"""What Redis alone can do to keys: be replaced, go back, be read in pages; and its outage."""

from __future__ import annotations

import logging
import time

import pytest
from redis import Redis

from llmauth.clock import SystemClock
from llmauth.storage import redis_keys, redis_scripts
from llmauth.storage.feed import KeyFeed
from llmauth.storage.home import StateUnusable
from llmauth.storage.records import Snapshot
from llmauth.storage.redis_keys import RedisKeys
from llmauth.storage.sealing import SealingKey
from tests.fixtures.redis_server import DURABLE, RedisServer


@pytest.fixture
def wire(durable_redis_url):
    with Redis.from_url(durable_redis_url, decode_responses=True) as client:
        yield client


@pytest.fixture
def keys(durable_redis_url, home, clock):
    store = RedisKeys(durable_redis_url, clock, sealing=SealingKey(home))
    yield store
    store.close()


def session_of(keys, clock, key):
    return keys.open_session(
        user="u",
        groups=(),
        method="api_key",
        key_id=key.id,
        key_name=key.name,
        second_factor=False,
        ends_at=clock.wall() + 60,
    )[0]


def test_pages_are_one_moment(keys, clock, monkeypatch):
    """A page never ends within a change, and what changes between two pages is on a later one."""
    monkeypatch.setattr(redis_keys, "PAGE", 3)
    made = [keys.create(f"k{n}")[0] for n in range(10)]
    opened = [session_of(keys, clock, made[0]) for _ in range(5)]
    run, left = keys._run, [lambda: keys.revoke("k9"), lambda: keys.revoke("k0"), lambda: keys.create("late")]

    def meddled(*words):
        told = run(*words)
        if words[0] == redis_scripts.CHANGED and left:
            monkeypatch.setattr(keys, "_run", run)
            left.pop()()
            monkeypatch.setattr(keys, "_run", meddled)
        return told

    monkeypatch.setattr(keys, "_run", meddled)
    seen = keys.snapshot()
    assert not left
    monkeypatch.setattr(keys, "_run", run)
    assert seen.revision == keys.version()[1]
    assert {each.id: each for each in seen.records} == {each.id: each for each in keys.list(with_sessions=True)}
    assert all(each.revoked is not None for each in seen.records if each.id in {one.id for one in opened})


def test_another_database_in_its_place_is_read_whole(keys, wire, clock, durable_redis_url):
    keys.create("ci")
    before = keys.version()
    wire.flushall()
    other = RedisKeys(durable_redis_url, clock)
    other.create("x")
    after = keys.version()
    assert after[0] == before[0] + 1
    other.close()


def test_one_that_went_back_is_not_believed(keys, wire):
    """A replica that had not heard of the last revocation took over, or a backup was put back."""
    keys.create("ci")
    keys.revoke("ci")
    keys.version()
    wire.decr("{llmauth}:revision")
    for _ in range(2):
        with pytest.raises(StateUnusable, match=r"lost changes .* up to revision 2.*Revoke again"):
            keys.version()


def test_nor_one_that_lost_changes_and_made_others_since(keys, wire, durable_redis_url):
    """Its number is as high as it was, or higher, and yet it is not the same."""
    keys.create("ci")
    keys.revoke("ci")
    keys.version()
    wire.decr("{llmauth}:revision")
    other = RedisKeys(durable_redis_url)
    for name in ("x", "y"):
        other.create(name)
        with pytest.raises(StateUnusable, match="lost changes"):
            keys.version()
    assert other.version()[1] == 3
    other.close()


def test_a_change_that_is_too_long_ago_is_not_asked_for(keys, durable_redis_url):
    """What is no longer marked says nothing."""
    other = RedisKeys(durable_redis_url)
    keys.create("ci")
    keys.version()
    other.create("x")
    with Redis.from_url(durable_redis_url) as client:
        client.hdel("{llmauth}:marks", "1")
    assert keys.version() == (0, 2)
    other.close()


def test_a_record_that_somebody_spoilt_is_a_sentence(keys, wire):
    record, _ = keys.create("ci")
    wire.hdel(f"{{llmauth}}:record:{record.id}", "kind")
    with pytest.raises(StateUnusable, match="a record that cannot be read"):
        keys.snapshot()


def test_what_was_changed_while_a_seed_was_sealed_is_looked_at_again(keys, monkeypatch):
    first, _ = keys.create("ci")
    keys.enrol("ci")
    find, meddle = keys._find, [lambda: keys.enrol("ci")]

    def found(name):
        answer = find(name)
        if meddle:
            meddle.pop()()
        return answer

    monkeypatch.setattr(keys, "_find", found)
    new, _ = keys.rotate("ci")
    assert new.enrolled is not None
    assert [(each.id, each.revoked is None) for each in keys.list()] == [(new.id, True), (first.id, False)]


def test_what_changes_all_the_time_is_given_up(keys, monkeypatch):
    keys.create("ci")
    find = keys._find

    def found(name):
        answer = find(name)
        return answer[0], "0", *answer[2:]

    monkeypatch.setattr(keys, "_find", found)
    with pytest.raises(StateUnusable, match="by too many at once"):
        keys.rotate("ci")
    assert keys.list()[0].revoked is None


def test_a_forgotten_session_leaves_nothing(keys, clock, wire):
    key, _ = keys.create("ci")
    session_of(keys, clock, key)
    before = set(wire.scan_iter("*"))
    session_of(keys, clock, key)
    keys.revoke("ci")
    clock.advance(90_000)
    assert keys.forget_sessions() == 2
    assert not [name for name in wire.scan_iter("*") if "session" in name]
    assert len(set(wire.scan_iter("*"))) < len(before)


def until(true, seconds):
    began = time.monotonic()
    while not true():
        assert time.monotonic() - began < seconds, "it did not come"
        time.sleep(0.01)
    return time.monotonic() - began


def test_an_outage_ends_no_traffic_at_first_then_all_and_is_over_by_itself(caplog):
    """F2: what is known is good for `stale_after`; then nothing is; and all is as before when it is back."""
    caplog.set_level(logging.INFO)
    with RedisServer(**DURABLE) as server:
        store = RedisKeys(server.url, stale_after=2)
        store.create("ci")
        seen: list[Snapshot] = []
        feed = KeyFeed(store, seen.append, SystemClock())
        feed.start()
        server.stop()
        until(lambda: feed.failing, 5)
        assert not feed.is_stale()
        until(store.is_behind, 3)
        until(feed.is_stale, 5)
        until(lambda: "key store cannot be read, keys are not accepted until it can" in caplog.messages, 3)
        server.start()
        assert until(lambda: not feed.is_stale(), 15) < 15
        store.revoke("ci")
        until(lambda: seen[-1].records[0].revoked is not None, 1)
        feed.stop()
        store.close()
        assert not any(server.password in str(vars(record)) for record in caplog.records)
