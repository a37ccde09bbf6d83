"""A5, F2: changes of the store are known within a second, or nothing is accepted."""

import logging
import os
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from llmauth.clock import ManualClock, SystemClock
from llmauth.storage.feed import KeyFeed
from llmauth.storage.home import StateError
from llmauth.storage.keys import KeyStore

of_a_file = pytest.mark.parametrize("location", ["sqlite"], indirect=True)


@pytest.fixture
def path(location):
    return Path(location)


@pytest.fixture
def store(opened):
    return opened(SystemClock())


@pytest.fixture
def seen():
    return []


@pytest.fixture
def feed(store, seen):
    made = KeyFeed(store, seen.append, SystemClock())
    yield made
    made.stop()


def until(true, seconds=5.0):
    """How long it took until `true()`."""
    began = time.monotonic()
    while not true():
        assert time.monotonic() - began < seconds, "it did not come"
        time.sleep(0.005)
    return time.monotonic() - began


def test_the_keys_are_there_when_start_returns(store, feed, seen):
    record, _ = store.create("ci")
    assert feed.is_stale()
    feed.start()
    assert [each.id for each in seen[0].records] == [record.id]
    assert not feed.is_stale()


@of_a_file
def test_a_store_that_cannot_be_read_refuses_to_start(store, feed, path):
    path.unlink()
    with pytest.raises(StateError):
        feed.start()
    assert feed.is_stale()


def test_another_process_writes_and_it_is_known_within_a_second(store, feed, seen, location):
    store.create("ci")
    feed.start()
    code = (
        "import sys, time; from llmauth.storage.stores import open_keys; store = open_keys(sys.argv[1]); "
        "store.revoke('ci'); print(time.monotonic(), flush=True); store.close()"
    )
    done = subprocess.run([sys.executable, "-c", code, location], capture_output=True, text=True, check=True)
    until(lambda: len(seen) == 2)
    assert time.monotonic() - float(done.stdout) < 1.0
    assert seen[1].records[0].revoked is not None


def test_nothing_is_told_when_nothing_changed(store, feed, seen):
    record, _ = store.create("ci")
    feed.poll()
    store.touch({record.id: 1.0})
    feed.poll()
    feed.poll()
    assert len(seen) == 1


def test_after_the_first_reading_only_changes_are_read(store, feed, seen):
    first, _ = store.create("a")
    second, _ = store.create("b")
    feed.poll()
    store.revoke("b")
    third, _ = store.create("c")
    feed.poll()
    assert [{each.id for each in snapshot.records} for snapshot in seen] == [
        {first.id, second.id},
        {second.id, third.id},
    ]
    assert [(snapshot.since, snapshot.revision) for snapshot in seen] == [(0, 2), (2, 4)]


@of_a_file
def test_another_file_is_read_whole(store, feed, seen, path, tmp_path):
    store.create("a")
    feed.poll()
    other = KeyStore(tmp_path / "other" / "keys.db")
    record, _ = other.create("b")
    other.close()
    path.parent.rename(tmp_path / "old")
    (tmp_path / "other").rename(path.parent)
    feed.poll()
    assert seen[-1].since == 0
    assert [each.id for each in seen[-1].records] == [record.id]


def test_it_grows_stale_by_the_clock_alone(store):
    """Also a thread that hangs in a slow disk must not keep old keys alive."""
    clock = ManualClock()
    feed = KeyFeed(store, lambda snapshot: None, clock)
    feed.poll()
    clock.advance(60.0 if store.shared else 1.0)
    assert not feed.is_stale()
    clock.advance(0.01)
    assert feed.is_stale()
    feed.poll()
    assert not feed.is_stale()


def _gone(path):
    path.parent.rename(path.parent.with_name("away"))
    return lambda: path.parent.with_name("away").rename(path.parent)


def _garbage(path):
    kept = path.with_name("kept")
    path.rename(kept)
    path.write_bytes(b"garbage" * 1000)
    return lambda: kept.replace(path)


def _denied(path):
    if os.geteuid() == 0:
        kept = path.with_name("kept")
        path.rename(kept)
        path.mkdir()  # root may read anything, but no folder as a file
        return lambda: (path.rmdir(), kept.rename(path))
    path.chmod(0)
    return lambda: path.chmod(0o600)


@of_a_file
@pytest.mark.parametrize("fault", [_gone, _garbage, _denied])
def test_a_store_that_breaks_is_noticed_and_recovers_without_a_restart(store, feed, seen, path, fault, caplog):
    caplog.set_level(logging.INFO)
    store.create("ci")
    feed.start()
    assert until(lambda: not feed.is_stale()) < 1
    mend = fault(path)
    assert until(feed.is_stale) < 2.5
    assert "key store cannot be read, keys are not accepted until it can" in caplog.messages
    mend()
    assert until(lambda: not feed.is_stale()) < 2
    assert until(lambda: caplog.messages.count("key store can be read again") == 1) < 2
    assert len(seen[-1].records) == 1


def test_a_failing_reader_of_snapshots_keeps_nothing_fresh(store):
    def fail(snapshot):
        raise RuntimeError

    feed = KeyFeed(store, fail, SystemClock())
    for _ in range(2):
        with pytest.raises(RuntimeError):
            feed.poll()
    assert feed.is_stale()


def test_times_of_use_are_written_together_and_are_no_change(store, feed, seen):
    first, _ = store.create("a")
    second, _ = store.create("b")
    feed.start()
    feed.used[first.id] = 10.0
    feed.used[second.id] = 20.0
    until(lambda: [each.last_used for each in store.list()] == [10.0, 20.0])
    assert not feed.used
    feed.used[first.id] = 30.0
    feed.stop()
    assert store.list()[0].last_used == 30.0
    assert len(seen) == 1


@of_a_file
def test_a_writer_elsewhere_does_not_make_the_keys_stale(path, monkeypatch):
    """The times of use wait for their turn in a thread of their own, and are not lost."""
    monkeypatch.setattr("llmauth.storage.sqlite.BUSY_SECONDS", 0.05)
    store = KeyStore(path)
    record, _ = store.create("ci")
    feed = KeyFeed(store, lambda snapshot: None, SystemClock())
    feed.start()
    blocker = sqlite3.connect(path, isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    feed.used[record.id] = 10.0
    until(lambda: not feed.used)
    until(lambda: feed.used == {record.id: 10.0})
    assert not feed.is_stale()
    blocker.execute("ROLLBACK")
    until(lambda: store.list()[0].last_used == 10.0)
    blocker.close()
    feed.stop()
    store.close()
