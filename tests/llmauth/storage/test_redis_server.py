"""R6, F2: a Redis that would forget is refused; one that is away, frozen or of others is a sentence without secrets."""

from __future__ import annotations

import re
import time
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import NoPermissionError, RedisError

from llmauth.demo.certificates import Authority
from llmauth.storage import redis_server
from llmauth.storage.home import StateUnusable
from llmauth.storage.redis_keys import RedisKeys
from llmauth.storage.sealing import SealingKey
from tests.fixtures.redis_server import DURABLE, RedisServer, free_port

HIDDEN = "hunter2"


@pytest.fixture(scope="module")
def server():
    """One of our own, that may be stopped and set."""
    with RedisServer(**DURABLE) as running:
        yield running


@pytest.fixture
def url(server):
    assert server.say("FLUSHALL") == "+OK"
    return server.url


def sentence(url):
    with pytest.raises(StateUnusable) as error:
        RedisKeys(url)
    told = str(error.value)
    assert HIDDEN not in told
    assert error.value.__cause__ is None
    return told


@contextmanager
def set_to(server, name, value, back):
    assert server.say("CONFIG", "SET", name, value) == "+OK"
    try:
        yield
    finally:
        assert server.say("CONFIG", "SET", name, back) == "+OK"


@pytest.mark.parametrize(
    ("name", "value", "back"),
    [
        ("appendonly", "no", "yes"),
        ("appendfsync", "everysec", "always"),
        ("appendfsync", "no", "always"),
        ("no-appendfsync-on-rewrite", "yes", "no"),
        ("maxmemory-policy", "allkeys-lru", "noeviction"),
        ("maxmemory-policy", "volatile-ttl", "noeviction"),
    ],
)
def test_one_that_would_forget_is_refused(server, url, name, value, back):
    with set_to(server, name, value, back):
        assert f"Set in its configuration: {name} {back}." in sentence(url)


def test_it_is_asked_again_at_each_new_connection(server, url):
    """After a failover it may be another server, with other settings."""
    keys = RedisKeys(url)
    keys.create("ci")
    with set_to(server, "appendfsync", "everysec", "always"):
        keys.close()
        with pytest.raises(StateUnusable, match="appendfsync always"):
            keys.revoke("ci")
    assert keys.list()[0].revoked is None
    keys.close()


def test_what_cannot_be_reached():
    assert "127.0.0.1:1/0 of keys cannot be reached" in sentence(f"redis://u:{HIDDEN}@127.0.0.1:1/0")
    assert "cannot be reached" in sentence(f"redis://u:{HIDDEN}@nowhere.invalid")


def test_a_wrong_password_and_none(server):
    assert "refuses this user or its password" in sentence(f"redis://:{HIDDEN}@127.0.0.1:{server.port}/0")
    assert "refuses this user or its password" in sentence(f"redis://u:{HIDDEN}@127.0.0.1:{server.port}/0")
    assert "the storage URL has none" in sentence(f"redis://127.0.0.1:{server.port}/0")


def test_a_number_that_no_database_has(url):
    assert "has no database of this number" in sentence(f"{url}9999")


def test_too_many_connections(server, url):
    with set_to(server, "maxclients", "2", "10000"), ExitStack() as held:
        with suppress(RedisError):
            for _ in range(20):
                held.enter_context(Redis.from_url(url, single_connection_client=True, retry=None)).ping()
        assert "has no connection left for us" in sentence(url)


def test_when_all_our_connections_are_in_use_the_next_waits_not_long(url, monkeypatch):
    monkeypatch.setattr(redis_server, "POOL_SECONDS", 0.2)
    keys = RedisKeys(url)
    pool = keys._database._server._pool
    taken = [pool.get_connection() for _ in range(10)]
    with pytest.raises(StateUnusable, match="too many at once"):
        keys.list()
    for each in taken:
        pool.release(each)
    assert keys.list() == ()
    keys.close()


def test_a_port_that_speaks_no_tls(url):
    assert "cannot be reached" in sentence(url.replace("redis:", "rediss:"))


@contextmanager
def a_user(server, *rights):
    assert server.say("ACL", "SETUSER", "weak", "reset", "on", f">{HIDDEN}", *rights) == "+OK"
    try:
        yield f"redis://weak:{HIDDEN}@127.0.0.1:{server.port}/0"
    finally:
        server.say("ACL", "DELUSER", "weak")


def test_the_rights_of_the_page_are_enough_and_no_more(server, url, home, clock):
    """docs/STORAGE.md gives a user so much."""
    page = (Path(__file__).parents[3] / "docs" / "STORAGE.md").read_text()
    (line,) = re.findall(r"^ACL SETUSER llmauth .*$", page, re.MULTILINE)
    assert server.say(*line.split()) == "+OK"
    daily = f"redis://llmauth:secret@127.0.0.1:{server.port}/0"
    keys = RedisKeys(daily, clock, sealing=SealingKey(home))
    record, _ = keys.create("ci")
    keys.create_pair("pair")
    enrolment = keys.enrol("ci")
    assert keys.prove_factor(record.id, "no code", clock.wall()).outcome == "wrong"
    assert keys.prove_factor(record.id, enrolment.backup_codes[0].reveal(), clock.wall()).outcome == "accepted"
    session, _ = keys.open_session(
        user="u", groups=(), method="oidc", key_id=None, key_name=None, second_factor=True, ends_at=clock.wall() + 1
    )
    keys.touch({record.id: clock.wall()})
    keys.rotate("ci")
    assert keys.close_session(session.id)
    clock.advance(90_000)
    assert keys.forget_sessions() == 1
    keys.revoke("ci")
    assert len(keys.snapshot().records) == len(keys.list()) == 3
    assert keys.version() == (0, 7)
    keys.close()
    with Redis.from_url(daily) as client:
        for words in (
            ("FLUSHALL",),
            ("CONFIG", "SET", "appendonly", "no"),
            ("GET", "other"),
            ("KEYS", "*"),
            ("ACL", "LIST"),
        ):
            with pytest.raises(NoPermissionError):
                client.execute_command(*words)
    server.say("ACL", "DELUSER", "llmauth")


def test_a_server_is_known_by_its_certificate_before_it_is_told_the_password(tmp_path):
    ours, theirs = Authority.create(), Authority.create()
    for name, authority in (("ours", ours), ("theirs", theirs)):
        (tmp_path / name).write_bytes(authority.pem)
    for name, host in (("right", "127.0.0.1"), ("other", "db.example")):
        key, begin, certificate = ours.issue([host]).partition(b"-----BEGIN CERTIFICATE-----")
        (tmp_path / f"{name}.key").write_bytes(key)
        (tmp_path / f"{name}.crt").write_bytes(begin + certificate)

    def speaking(name):
        files = {"tls-cert-file": f"{tmp_path}/{name}.crt", "tls-key-file": f"{tmp_path}/{name}.key"}
        more = {"tls-port": str(free_port()), "tls-auth-clients": "no", "tls-ca-cert-file": f"{tmp_path}/ours"}
        return RedisServer(**DURABLE, **files, **more)

    def tls(server, password):
        return f"rediss://:{password}@127.0.0.1:{server.options['tls-port']}/0?ssl_ca_certs={tmp_path}"

    with speaking("right") as server:
        keys = RedisKeys(f"{tls(server, server.password)}/ours")
        keys.create("ci")
        keys.close()
        for file in ("theirs", "missing"):
            assert "cannot be reached" in sentence(f"{tls(server, HIDDEN)}/{file}")
        assert "cannot be reached" in sentence(tls(server, HIDDEN).partition("?")[0])
    with speaking("other") as server:
        assert "cannot be reached" in sentence(f"{tls(server, HIDDEN)}/ours")


def test_one_that_does_not_tell_its_settings_is_refused(server, url):
    with a_user(server, "~*", "+@all", "-config") as weak:
        assert "+config|get" in sentence(weak)


def test_a_user_without_rights(server, url):
    with a_user(server, "~other:*", "+@all") as weak:
        assert "denies our user" in sentence(weak)
    with a_user(server, "~*", "+@all", "-evalsha", "-eval") as weak:
        assert "denies our user" in sentence(weak)


def test_a_replica_is_refused(server, url):
    keys = RedisKeys(url)
    keys.create("ci")
    assert server.say("REPLICAOF", "127.0.0.1", "1") == "+OK"
    try:
        assert "is a replica" in sentence(url)
        for call in (keys.version, keys.snapshot, lambda: keys.revoke("ci")):
            with pytest.raises(StateUnusable, match="is a replica"):
                call()
    finally:
        assert server.say("REPLICAOF", "NO", "ONE") == "+OK"
    assert keys.revoke("ci").revoked is not None, "and it is found again"
    keys.close()


def test_a_primary_that_lost_its_replicas_is_not_believed(server, url):
    """min-replicas-to-write is how an operator has a primary on the wrong side of a cut stop."""
    keys = RedisKeys(url)
    with set_to(server, "min-replicas-to-write", "1", "0"):
        for call in (keys.version, lambda: keys.create("ci")):
            with pytest.raises(StateUnusable, match="lost the replicas"):
                call()
    keys.create("ci")
    keys.close()


def test_one_without_memory_is_read_and_not_written(server, url):
    keys = RedisKeys(url)
    record, _ = keys.create("ci")
    with set_to(server, "maxmemory", "1", "0"):
        assert keys.list() == (record,)
        with pytest.raises(StateUnusable, match="has no memory left"):
            keys.create("other")
    keys.close()


def test_one_that_is_too_old(url, monkeypatch):
    monkeypatch.setattr(redis_server, "OLDEST", 99)
    assert "is version 7, and this llmauth needs 99 or later" in sentence(url)


def test_scripts_that_were_forgotten_are_sent_again(server, url):
    keys = RedisKeys(url)
    keys.create("ci")
    assert server.say("SCRIPT", "FLUSH") == "+OK"
    keys.create("other")
    assert len(keys.list()) == 2
    keys.close()


def test_a_frozen_server_is_given_up(server, url, monkeypatch):
    monkeypatch.setattr(redis_server, "ANSWER_SECONDS", 0.3)
    keys = RedisKeys(url)
    server.freeze()
    try:
        for _ in range(2):
            began = time.monotonic()
            with pytest.raises(StateUnusable, match="does not answer"):
                keys.list()
            assert time.monotonic() - began < 4
    finally:
        server.thaw()
    assert keys.list() == ()
    keys.close()


def test_a_server_that_was_started_anew_is_used_at_once(server, url):
    keys = RedisKeys(url)
    keys.create("ci")
    server.stop()
    with pytest.raises(StateUnusable, match="cannot be reached"):
        keys.list()
    server.start()
    assert len(keys.list()) == 1
    keys.create("other")
    keys.close()


def test_a_password_may_hold_any_sign(server, url):
    client = Redis.from_url(server.url)
    client.acl_setuser("odd", enabled=True, passwords=["+a@b/c:d%e f"], keys=["*"], commands=["+@all"])
    keys = RedisKeys(f"redis://odd:a%40b%2Fc%3Ad%25e%20f@127.0.0.1:{server.port}/0")
    keys.create("ci")
    keys.close()
    client.acl_deluser("odd")
    client.close()
