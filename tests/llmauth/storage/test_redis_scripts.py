"""Each script is one step, refuses what is not its data, keeps all under one tag, and is run by a primary alone."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from redis import Redis
from redis.exceptions import RedisError

from llmauth.storage import redis_scripts
from llmauth.storage.home import StateUnusable
from llmauth.storage.keys import KeyNameTaken
from llmauth.storage.redis_keys import RedisKeys

SCRIPTS = {name: text for name, text in vars(redis_scripts).items() if name.isupper() and str(text).startswith("#!")}


@pytest.fixture
def wire(durable_redis_url):
    with Redis.from_url(durable_redis_url, decode_responses=True) as client:
        yield client


@pytest.fixture
def keys(durable_redis_url, home, clock):
    store = RedisKeys(durable_redis_url, clock)
    yield store
    store.close()


@pytest.mark.parametrize("name", SCRIPTS)
def test_on_a_replica_none_is_run_not_even_those_that_read(wire, name):
    """Whoever fell behind must not say that it still knows."""
    wire.replicaof("127.0.0.1", 1)
    try:
        with pytest.raises(RedisError, match=r"read only replica|MASTERDOWN"):
            wire.eval(SCRIPTS[name], 1, redis_scripts.REVISION, *["1"] * 9)
    finally:
        wire.replicaof("NO", "ONE")


def test_data_of_another_version_are_neither_read_nor_written(keys, wire, durable_redis_url):
    keys.create("ci")
    wire.set("{llmauth}:schema", "2")
    before = sorted(wire.scan_iter("*"))
    for call in (keys.version, keys.list, lambda: keys.create("x"), lambda: keys.revoke("ci"), keys.forget_sessions):
        with pytest.raises(StateUnusable, match="holds version '2'"):
            call()
    with pytest.raises(StateUnusable, match="holds version '2'"):
        RedisKeys(durable_redis_url)
    assert sorted(wire.scan_iter("*")) == before


def test_what_was_emptied_is_no_place_without_keys(keys, wire):
    """It answers nobody as if there had never been any, and takes no new ones."""
    keys.create("ci")
    wire.flushall()
    for call in (keys.version, keys.snapshot, lambda: keys.create("x"), lambda: keys.prove_factor("x", "1", 1.0)):
        with pytest.raises(StateUnusable, match="was emptied"):
            call()
    assert wire.dbsize() == 0


def test_half_of_our_data_are_not_taken_for_none(keys, wire, durable_redis_url):
    keys.create("ci")
    wire.delete("{llmauth}:schema")
    with pytest.raises(StateUnusable, match="was emptied, or lost its data"):
        RedisKeys(durable_redis_url)


def test_all_is_under_one_tag(keys, wire, clock):
    keys.create("ci")
    keys.open_session(
        user="u", groups=(), method="oidc", key_id=None, key_name=None, second_factor=False, ends_at=clock.wall() + 9
    )
    assert all(key.startswith("{llmauth}:") for key in wire.scan_iter("*"))


def test_the_keys_of_another_program_beside_ours_are_left_alone(wire, keys):
    wire.set("bookmarks", "x")
    keys.create("ci")
    keys.revoke("ci")
    assert wire.get("bookmarks") == "x"


def test_something_elses_under_our_tag_is_a_sentence(keys, wire):
    wire.delete("{llmauth}:changes")
    wire.set("{llmauth}:changes", "x")
    with pytest.raises(StateUnusable, match="something of another program"):
        keys.list()


def test_of_many_who_take_one_name_one_has_it(keys):
    def take(_):
        try:
            return keys.create("ci")[0].id
        except KeyNameTaken:
            return None

    with ThreadPoolExecutor(8) as pool:
        taken = [each for each in pool.map(take, range(16)) if each]
    assert [each.id for each in keys.list()] == taken


def test_of_many_who_make_it_one_does(durable_redis_url, wire):
    with ThreadPoolExecutor(8) as pool:
        stores = list(pool.map(lambda _: RedisKeys(durable_redis_url), range(8)))
    assert {store.version() for store in stores} == {(0, 0)}
    for store in stores:
        store.close()
