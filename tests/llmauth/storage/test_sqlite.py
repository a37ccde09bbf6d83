"""R4, R6, F2, F5: the file of the database, what it may be, and what happens when it is not that."""

import json
import os
import shutil
import sqlite3
import threading
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import text

from llmauth.storage.home import StateError, StateUnsafe, StateUnusable
from llmauth.storage.keys import KeyStore
from llmauth.storage.sqlite import SqliteDatabase as Database


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state" / "keys.db"


@contextmanager
def opened(location):
    database = Database(location)
    try:
        yield database
    finally:
        database.close()


def pragma(database, name):
    with database.reading() as connection:
        return connection.exec_driver_sql(f"PRAGMA {name}").scalar()


def test_every_file_is_private_whatever_the_umask(path):
    before = os.umask(0)
    try:
        with opened(path) as database, database.writing() as connection:
            connection.execute(text("CREATE TABLE t (x INTEGER)"))
            modes = {each.name: each.stat().st_mode & 0o777 for each in path.parent.iterdir()}
    finally:
        os.umask(before)
    assert modes == {"keys.db": 0o600, "keys.db-wal": 0o600, "keys.db-shm": 0o600}
    assert path.parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("suffix", ["", "-wal", "-shm"])
def test_a_file_open_to_others_is_refused(path, suffix):
    with opened(path):
        file = Path(f"{path}{suffix}")
        file.chmod(0o644)
        with pytest.raises(StateUnsafe, match=f"chmod 600 {file}"):
            Database(path)


def test_a_commit_is_on_the_disk(path):
    with opened(path) as database:
        assert pragma(database, "journal_mode") == "wal"
        assert pragma(database, "synchronous") == 2  # FULL
        assert pragma(database, "busy_timeout") == 5000


def test_an_empty_file_becomes_a_database(path):
    path.parent.mkdir(mode=0o700)
    path.touch(0o600)
    with opened(path) as database:
        assert pragma(database, "user_version") == 0


@pytest.mark.parametrize(
    "garbage", [b"this is no database\n" * 100, b"\0" * 8192, b"SQLite format 3\0" + b"\xff" * 9000]
)
def test_a_damaged_file_is_said_plainly(path, garbage):
    path.parent.mkdir(mode=0o700)
    path.touch(0o600)
    path.write_bytes(garbage)
    with pytest.raises(StateUnusable) as error:
        Database(path)
    assert str(path) in str(error.value)
    assert path.read_bytes() == garbage, "a file that is not understood must not be changed"


@pytest.mark.parametrize("what", ["folder", "pipe"])
def test_what_is_no_file_is_said_plainly(path, what):
    path.parent.mkdir(mode=0o700)
    path.mkdir() if what == "folder" else os.mkfifo(path, 0o600)
    with pytest.raises(StateUnusable, match="is no file"):
        Database(path)


def test_an_unreadable_file_is_said_plainly(path):
    with opened(path):
        pass
    with forbidden(path), pytest.raises(StateError):
        Database(path)


@contextmanager
def forbidden(path):
    """As another user where we are root, to whom nothing is forbidden."""
    if os.geteuid() == 0:
        os.seteuid(65534)
    else:
        path.chmod(0)
    try:
        yield
    finally:
        if os.getuid() == 0:
            os.seteuid(0)
        else:
            path.chmod(0o600)


def test_the_database_of_another_program_is_left_alone(path):
    path.parent.mkdir(mode=0o700)
    path.touch(0o600)
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE bookmarks (url TEXT)")
    connection.close()
    with pytest.raises(StateUnusable, match="another program"):
        Database(path)


def test_tables_of_a_later_version_are_refused(path):
    with opened(path) as database, database.writing() as connection:
        connection.execute(text("UPDATE llmauth_schema SET version = 7"))
    with pytest.raises(StateUnusable, match="version 7"):
        Database(path)


def test_signs_that_a_url_would_read_are_part_of_the_name(tmp_path):
    path = tmp_path / "a b" / "50%?mode=memory#x.db"
    with opened(path):
        assert path.is_file()


def test_a_failed_change_leaves_nothing(path):
    with opened(path) as database:
        with database.writing() as connection:
            connection.execute(text("CREATE TABLE t (x INTEGER)"))
        with pytest.raises(RuntimeError):
            _write_and_fail(database)
        with database.reading() as connection:
            assert connection.execute(text("SELECT count(*) FROM t")).scalar() == 0


def _write_and_fail(database):
    with database.writing() as connection:
        connection.execute(text("INSERT INTO t VALUES (1)"))
        raise RuntimeError


def test_a_reader_sees_one_moment(path):
    with opened(path) as database:
        with database.writing() as connection:
            connection.execute(text("CREATE TABLE t (x INTEGER)"))
        with database.reading() as reader:
            assert reader.execute(text("SELECT count(*) FROM t")).scalar() == 0
            with database.writing() as writer:
                writer.execute(text("INSERT INTO t VALUES (1)"))
            assert reader.execute(text("SELECT count(*) FROM t")).scalar() == 0


def test_writers_take_turns(path):
    with opened(path) as database:
        with database.writing() as connection:
            connection.execute(text("CREATE TABLE t (x INTEGER)"))
            connection.execute(text("INSERT INTO t VALUES (0)"))

        def count():
            for _ in range(25):
                with database.writing() as connection:
                    seen = connection.execute(text("SELECT x FROM t")).scalar()
                    connection.execute(text(f"UPDATE t SET x = {seen} + 1"))

        threads = [threading.Thread(target=count) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        with database.reading() as connection:
            assert connection.execute(text("SELECT x FROM t")).scalar() == 100


def test_a_file_that_was_taken_away_is_no_empty_one(path):
    with opened(path) as database:
        assert pragma(database, "user_version") == 0
        path.unlink()
        with pytest.raises(StateUnusable, match="No such file"):
            pragma(database, "user_version")
        assert not path.exists()


def test_a_state_folder_that_was_replaced_is_read_anew(path, tmp_path):
    with opened(tmp_path / "other" / "keys.db") as other, other.writing() as connection:
        connection.execute(text("CREATE TABLE replaced (x INTEGER)"))
    with opened(path) as database:
        before = database.generation
        path.parent.rename(tmp_path / "old")
        (tmp_path / "other").rename(path.parent)
        with database.reading() as connection:
            assert connection.execute(text("SELECT count(*) FROM replaced")).scalar() == 0
        assert database.generation > before


def test_the_log_of_a_replaced_file_is_not_played_into_the_new_one(path, tmp_path):
    with opened(tmp_path / "other" / "keys.db"):
        pass
    with opened(path) as database:
        pragma(database, "user_version")
        os.replace(tmp_path / "other" / "keys.db", path)
        for _ in range(2):
            with pytest.raises(StateUnusable, match=f"Remove {path}-wal"):
                pragma(database, "user_version")
        Path(f"{path}-wal").unlink()
        Path(f"{path}-shm").unlink()
        assert pragma(database, "user_version") == 0


def test_no_connection_is_left_open_when_the_file_was_touched_while_it_was_in_use(path):
    with opened(path) as database:
        with database.reading() as inner:
            used = inner.connection.dbapi_connection
            os.utime(path)
            assert pragma(database, "user_version") == 0
        with pytest.raises(sqlite3.ProgrammingError, match="closed"):
            used.execute("SELECT 1")
        with database.reading() as inner:
            kept = inner.connection.dbapi_connection
        kept.execute("SELECT 1")


def test_garbage_written_over_an_open_database_is_noticed(path):
    with opened(path) as database:
        assert pragma(database, "user_version") == 0
    with opened(path) as database:
        path.write_bytes(b"garbage" * 5000)
        with pytest.raises(StateUnusable):
            pragma(database, "user_version")


CREATE = """
import sys
from llmauth.storage.keys import KeyStore
def work(number, go):
    go()
    KeyStore(sys.argv[1]).create(f"k{number}")
"""


def test_many_processes_may_make_the_tables_at_once(path, at_once):
    at_once(6, CREATE, str(path))
    store = KeyStore(path)
    assert len(store.list()) == 6
    assert store.version()[1] == 6
    store.close()


def test_the_key_itself_is_nowhere_on_the_disk(path):
    store = KeyStore(path)
    _, key = store.create("ci")
    secret = key.reveal().rpartition("_")[2].encode()
    for file in path.parent.iterdir():
        assert secret not in file.read_bytes()
    store.close()


def test_a_locked_store_says_so(path, monkeypatch):
    monkeypatch.setattr("llmauth.storage.sqlite.BUSY_SECONDS", 0.05)
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


def test_groups_are_kept_as_json_so_that_every_database_can(path):
    store = KeyStore(path)
    store.create("ci", groups=["a", "ü"])
    store.close()
    with sqlite3.connect(path) as raw:
        (groups,) = raw.execute("SELECT groups FROM keys").fetchone()
    raw.close()
    assert json.loads(groups) == ["a", "ü"]


def test_a_backup_is_made_while_it_is_in_use_and_put_back_as_the_page_says(path, tmp_path):
    """docs/STORAGE.md, without the program sqlite3."""
    store = KeyStore(path)
    store.create("before")
    with closing(sqlite3.connect(path)) as other:
        other.execute("VACUUM INTO ?", (str(tmp_path / "backup.db"),))
    store.create("after")
    store.close()
    for suffix in ("-wal", "-shm"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)
    shutil.copy(tmp_path / "backup.db", path)
    path.chmod(0o600)
    again = KeyStore(path)
    assert [each.name for each in again.list()] == ["before"]
    again.create("later")
    again.close()
