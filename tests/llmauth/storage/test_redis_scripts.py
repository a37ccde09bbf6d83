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
