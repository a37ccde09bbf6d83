"""F2: a server that is away, frozen, full, of others or read-only; and its password is in no sentence."""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import psycopg
import pytest

from llmauth.clock import SystemClock
from llmauth.demo.certificates import Authority
from llmauth.storage import postgres
from llmauth.storage.feed import KeyFeed
from llmauth.storage.home import StateUnusable
from llmauth.storage.keys import KeyStore, Snapshot
from llmauth.storage.sealing import SealingKey
from tests.fixtures.postgres import PostgresServer

HIDDEN = "hunter2"


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """One of our own, that may be stopped."""
    with PostgresServer() as running:
        yield running


@pytest.fixture
def url(server: PostgresServer) -> Iterator[str]:
    name = server.fresh()
    yield server.url(name)
    server.drop(name)


@pytest.fixture
def store(url: str) -> Iterator[KeyStore]:
    opened = KeyStore(url)
    yield opened
    opened.close()


def sentence(url: str) -> str:
    with pytest.raises(StateUnusable) as error:
        KeyStore(url)
    told = str(error.value)
    assert HIDDEN not in told
    assert error.value.__cause__ is None
    return told


def say(server: PostgresServer, url: str, *statements: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def test_what_cannot_be_reached(server):
    assert "postgresql://u:***@127.0.0.1:1/d cannot be reached" in sentence(f"postgresql://u:{HIDDEN}@127.0.0.1:1/d")
    assert "cannot be reached" in sentence(f"postgresql://u:{HIDDEN}@nowhere.invalid/d")


def test_a_wrong_password_and_an_unknown_user(server):
    for user in ("owner", "nobody"):
        told = sentence(f"postgresql://{user}:{HIDDEN}@127.0.0.1:{server.port}/postgres")
        assert "refuses this user or its password" in told


def test_a_password_among_the_parameters_is_hidden_too(server):
    told = sentence(f"postgresql:///d?host=127.0.0.1&port={server.port}&user=owner&password={HIDDEN}")
    assert "refuses this user" in told


def test_a_database_that_does_not_exist(server):
    assert "does not exist. Make it: CREATE DATABASE" in sentence(server.url("nowhere"))


def test_parameters_of_the_url_go_to_the_client_library(url):
    assert "by TLS as the storage URL asks for it" in sentence(f"{url}?sslmode=require")
    assert "with a parameter that" in sentence(f"{url}?sslmode={HIDDEN}")
    assert "with a parameter that" in sentence(f"{url}?nonsense={HIDDEN}")
    store = KeyStore(f"{url}?application_name=mine&options=-csearch_path%3Dpublic")
    with store._database.reading() as connection:
        assert connection.exec_driver_sql("SHOW application_name").scalar() == "mine"
    store.close()


def test_a_server_is_known_by_its_certificate_before_it_is_told_the_password(server, url, tmp_path):
    ours, theirs = Authority.create(), Authority.create()
    for name, authority in (("ours", ours), ("theirs", theirs)):
        (tmp_path / name).write_bytes(authority.pem)
    with server.speaking_tls(ours.issue(["localhost", "127.0.0.1"])):
        store = KeyStore(f"{url}?sslmode=verify-full&sslrootcert={tmp_path / 'ours'}")
        with store._database.reading() as connection:
            assert connection.exec_driver_sql("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()").scalar()
        store.create("ci")
        store.close()
        wrong = url.replace(server.password, HIDDEN)
        assert "by TLS" in sentence(f"{wrong}?sslmode=verify-full&sslrootcert={tmp_path / 'theirs'}")
        assert "by TLS" in sentence(f"{wrong}?sslmode=verify-full&sslrootcert={tmp_path / 'missing'}")
    with server.speaking_tls(ours.issue(["db.example"])):
        assert "by TLS" in sentence(f"{wrong}?sslmode=verify-full&sslrootcert={tmp_path / 'ours'}")


def test_a_password_may_hold_any_sign(server):
    server.say("CREATE ROLE odd LOGIN PASSWORD 'a@b/c:d%e f'")
    server.say("CREATE DATABASE odd OWNER odd")
    store = KeyStore(f"postgresql://odd:a%40b%2Fc%3Ad%25e%20f@127.0.0.1:{server.port}/odd")
    store.create("ci")
    store.close()
    server.drop("odd")


def test_a_version_that_is_too_old(url, monkeypatch):
    monkeypatch.setattr(postgres, "OLDEST", 990_000)
    assert "is PostgreSQL 15, and this llmauth needs 99 or later" in sentence(url)


@pytest.fixture
def standby(server: PostgresServer, url: str) -> Iterator[str]:
    """The same database, as a server has it that follows another one."""
    server.stop()
    (server._data / "standby.signal").touch()
    server.start()
    yield url
    server.stop()
    (server._data / "standby.signal").unlink()
    server.start()


def test_an_empty_standby_cannot_be_used(standby):
    assert "is read-only" in sentence(standby)


@pytest.fixture
def made(url: str) -> None:
    """The tables are there."""
    KeyStore(url).close()


def test_a_standby_is_read_and_not_written(made, standby):
    store = KeyStore(standby)
    assert store.list() == ()
    with pytest.raises(StateUnusable, match=r"is read-only \(a standby\?\).*primary"):
        store.create("ci")
    store.close()


def test_a_user_without_rights(server, url):
    server.say("DROP ROLE IF EXISTS weak")
    server.say(f"CREATE ROLE weak LOGIN PASSWORD '{HIDDEN}'")
    weak = url.replace(url[url.index("//") : url.index("@")], f"//weak:{HIDDEN}")
    assert "denies this user what it needs" in sentence(weak)


@pytest.fixture
def as_the_page_says(server: PostgresServer) -> Iterator[str]:
    """The URL of the daily role of docs/STORAGE.md, made by the statements that stand there."""
    page = (Path(__file__).parents[3] / "docs" / "STORAGE.md").read_text()
    first, then = ([one for one in block.split(";\n") if one] for block in re.findall(r"```sql\n(.*?)```", page, re.S))
    for statement in first:
        server.say(statement)
    owner, daily = (
        f"postgresql://{name}:{password}%20secret@127.0.0.1:{server.port}/llmauth"
        for name, password in (("llmauth_owner", "first"), ("llmauth", "second"))
    )
    KeyStore(owner).close()
    say(server, owner, *then)
    yield daily
    server.drop("llmauth")
    server.say("DROP ROLE llmauth")
    server.say("DROP ROLE llmauth_owner")


def test_the_rights_of_the_page_are_enough_and_no_more(server, as_the_page_says, home, clock):
    store = KeyStore(as_the_page_says, clock, sealing=SealingKey(home))
    record, _ = store.create("ci")
    store.create_pair("pair")
    enrolment = store.enrol("ci")
    assert store.prove_factor(record.id, enrolment.backup_codes[0].reveal(), clock.wall()).outcome == "accepted"
    session, _ = store.open_session(
        user="u", groups=(), method="oidc", key_id=None, key_name=None, second_factor=True, ends_at=clock.wall() + 1
    )
    store.touch({record.id: clock.wall()})
    store.rotate("ci")
    store.close_session(session.id)
    clock.advance(90_000)
    assert store.forget_sessions() == 1
    store.revoke("ci")
    store.close()
    for statement in (
        "DROP TABLE keys",
        "ALTER TABLE keys ADD COLUMN x integer",
        "CREATE TABLE mine (x integer)",
        "UPDATE llmauth_schema SET version = 1",
        "DELETE FROM revision",
        "TRUNCATE keys",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            say(server, as_the_page_says, statement)
    server.say(f"CREATE ROLE stranger LOGIN PASSWORD '{HIDDEN}'")
    assert "denies this user" in sentence(f"postgresql://stranger:{HIDDEN}@127.0.0.1:{server.port}/llmauth")
    server.say("DROP ROLE stranger")


def test_the_tables_of_another_program_are_left_alone(server, url):
    say(server, url, "CREATE TABLE bookmarks (url text)")
    assert "holds tables of another program" in sentence(url)


def test_too_many_connections(url):
    with ExitStack() as open_ones:
        with suppress(psycopg.OperationalError):
            for _ in range(200):
                open_ones.enter_context(psycopg.connect(url))
        assert "has no connection left for us" in sentence(url)


def test_when_all_our_connections_are_in_use_the_next_waits_not_long(url, monkeypatch):
    monkeypatch.setattr(postgres, "POOL_SECONDS", 0.2)
    store = KeyStore(url)
    with ExitStack() as held:
        for _ in range(10):
            held.enter_context(store._database.reading())
        began = time.monotonic()
        with pytest.raises(StateUnusable, match="too many at once"):
            store.list()
        assert time.monotonic() - began < 2
    assert store.list() == ()
    store.close()


def test_a_commit_is_on_the_disk_whatever_the_server_does_by_itself(server, url):
    say(server, url, "ALTER DATABASE " + url.rpartition("/")[2] + " SET synchronous_commit = off")
    store = KeyStore(url)
    with store._database.writing() as connection:
        assert connection.exec_driver_sql("SHOW synchronous_commit").scalar() == "on"
        assert connection.exec_driver_sql("SHOW statement_timeout").scalar() == "4s"
        assert connection.exec_driver_sql("SHOW transaction_isolation").scalar() == "read committed"
    with store._database.reading() as connection:
        assert connection.exec_driver_sql("SHOW transaction_read_only").scalar() == "on"
    store.close()


def test_a_stricter_choice_of_the_operator_stays(server, url):
    say(server, url, "ALTER DATABASE " + url.rpartition("/")[2] + " SET synchronous_commit = remote_apply")
    store = KeyStore(url)
    with store._database.reading() as connection:
        assert connection.exec_driver_sql("SHOW synchronous_commit").scalar() == "remote_apply"
    store.close()


def test_a_reader_sees_one_moment(store):
    with store._database.reading() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM keys").scalar() == 0
        store.create("ci")
        assert connection.exec_driver_sql("SELECT count(*) FROM keys").scalar() == 0


def test_somebody_who_holds_the_keys_is_waited_for_but_not_for_good(url, monkeypatch):
    monkeypatch.setattr(postgres, "_SETTINGS", postgres._SETTINGS.replace("'4s'", "'400ms'"))
    store = KeyStore(url)
    with psycopg.connect(url) as other:
        other.execute("UPDATE revision SET value = value")
        began = time.monotonic()
        with pytest.raises(StateUnusable, match="took longer than 4 s"):
            store.create("ci")
        assert 0.4 < time.monotonic() - began < 4
        assert store.list() == (), "readers are not kept waiting"
    store.create("ci")
    store.close()


def test_a_frozen_server_is_given_up(server, store, monkeypatch):
    monkeypatch.setattr(postgres, "ANSWER_SECONDS", 0.3)
    store.create("ci")
    server.freeze()
    try:
        for _ in range(2):
            began = time.monotonic()
            with pytest.raises(StateUnusable, match="does not answer"):
                store.list()
            assert time.monotonic() - began < 4
    finally:
        server.thaw()
    assert len(store.list()) == 1


def test_a_server_that_was_started_anew_is_used_at_once(server, store):
    store.create("ci")
    server.stop()
    with pytest.raises(StateUnusable, match="cannot be reached"):
        store.list()
    server.start()
    assert len(store.list()) == 1
    store.create("other")


def until(true, seconds):
    began = time.monotonic()
    while not true():
        assert time.monotonic() - began < seconds, "it did not come"
        time.sleep(0.01)
    return time.monotonic() - began


def test_an_outage_ends_no_traffic_at_first_then_all_and_is_over_by_itself(server, url, caplog):
    """What is known is good for `stale_after`; then nothing is; and 15 s after the end all is as before."""
    caplog.set_level(logging.INFO)
    store = KeyStore(url, stale_after=3)
    store.create("ci")
    seen: list[Snapshot] = []
    feed = KeyFeed(store, seen.append, SystemClock())
    feed.start()
    assert not store.is_behind()
    server.stop()
    until(lambda: feed.failing, 5)
    until(store.is_behind, 3)
    assert not feed.is_stale()
    assert "key store cannot be read, keys are accepted as they were known" in caplog.messages
    with pytest.raises(StateUnusable, match="does not answer"):
        feed.catch_up()
    until(feed.is_stale, 5)
    until(lambda: "key store cannot be read, keys are not accepted until it can" in caplog.messages, 3)
    server.start()
    assert until(lambda: not feed.is_stale(), 15) < 15
    until(lambda: "key store can be read again" in caplog.messages, 3)
    assert not store.is_behind()
    store.revoke("ci")
    until(lambda: seen[-1].records[0].revoked is not None, 1)
    feed.stop()
    store.close()
    assert not any(HIDDEN in str(vars(record)) or server.password in str(vars(record)) for record in caplog.records)


def test_nobody_waits_for_a_question_that_hangs(store, monkeypatch):
    monkeypatch.setattr("llmauth.storage.feed.TURN_SECONDS", 0.1)
    feed = KeyFeed(store, lambda snapshot: None, SystemClock())
    asked, over = threading.Event(), threading.Event()

    def hang():
        asked.set()
        assert over.wait(10)
        return 0, 0

    monkeypatch.setattr(store, "version", hang)
    hanging = threading.Thread(target=feed.poll)
    hanging.start()
    assert asked.wait(5)
    began = time.monotonic()
    with pytest.raises(StateUnusable):
        feed.catch_up()
    assert time.monotonic() - began < 1
    over.set()
    hanging.join()


def test_a_revocation_is_known_in_another_process_within_a_second(url, store):
    """A5, over a shared store."""
    store.create("ci")
    seen: list[Snapshot] = []
    other = KeyStore(url)
    feed = KeyFeed(other, seen.append, SystemClock())
    feed.start()
    store.revoke("ci")
    assert until(lambda: seen[-1].records[0].revoked is not None, 2) < 1
    feed.stop()
    other.close()
