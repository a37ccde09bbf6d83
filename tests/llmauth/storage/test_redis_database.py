"""What of our data is there: those of another version, of nobody, or half of them, and who makes them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from redis import Redis

from llmauth.storage.home import StateUnusable
from llmauth.storage.redis_keys import RedisKeys


@pytest.fixture
def wire(durable_redis_url):
    with Redis.from_url(durable_redis_url, decode_responses=True) as client:
        yield client


@pytest.fixture
def keys(durable_redis_url, clock):
    store = RedisKeys(durable_redis_url, clock)
    yield store
    store.close()


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


def test_of_many_who_make_it_one_does(durable_redis_url, wire):
    with ThreadPoolExecutor(8) as pool:
        stores = list(pool.map(lambda _: RedisKeys(durable_redis_url), range(8)))
    assert {store.version() for store in stores} == {(0, 0)}
    for store in stores:
        store.close()
