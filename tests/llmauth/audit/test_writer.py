"""R5: a decision is recorded before it counts, and where it cannot be nothing is allowed."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from llmauth.audit import segments, writer
from llmauth.audit.tickets import Ticket
from llmauth.audit.verify import verify
from llmauth.audit.writer import AuditLog
from llmauth.clock import ManualClock, SystemClock
from llmauth.errors import Unavailable
from llmauth.secrets import Secret
from llmauth.storage.home import StateError, StateUnsafe
from tests.fixtures.audits import administered, counting, decided, lines_in, request_ids, running

RECOVERY_SECONDS = 15.0


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture(autouse=True)
def looked_after_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "_LOOK_SECONDS", 0.1)


def until(true: Callable[[], bool], seconds: float = RECOVERY_SECONDS) -> float:
    """How long it took."""
    began = time.monotonic()
    while not true():
        assert time.monotonic() - began < seconds, "not in time"
        time.sleep(0.01)
    return time.monotonic() - began


def is_closed(log: AuditLog) -> bool:
    """Whether the door is closed; it is tried, as a request tries it."""
    try:
        log.note(decided("trial"))
    except Unavailable:
        return True
    return False


def test_what_was_noted_is_there_in_its_order(home: Path) -> None:
    with running(home) as log:
        tickets = [log.note(decided(f"r-{number}")) for number in range(300)]
        tickets[-1].wait_blocking()
        assert all(ticket.written for ticket in tickets)
        assert request_ids(home) == [f"r-{number}" for number in range(300)]
    assert [told["kind"] for told in lines_in(home)][::301] == ["start", "stop"]
    assert verify(home).faults == ()


def test_files_are_private_and_named_after_moment_and_process(home: Path) -> None:
    """R4"""
    before = os.umask(0)
    try:
        with running(home, ManualClock(wall=1_800_000_000.0)) as log:
            assert log.file.startswith(f"20270115T080000000Z-{os.getpid()}-")
    finally:
        os.umask(before)
    modes = {path.relative_to(home).as_posix(): path.stat().st_mode & 0o777 for path in home.rglob("*")}
    assert {mode for name, mode in modes.items() if "." in name} == {0o600}
    assert (modes["audit"], modes["heads"]) == (0o700, 0o700)


async def test_a_request_waits_for_its_record_and_no_longer(home: Path) -> None:
    with running(home) as log:
        ticket = log.note(decided())
        await asyncio.gather(ticket.wait(), ticket.wait())
        assert ticket.written
        await ticket.wait()


def test_the_first_grade_is_on_the_disk_before_it_is_told(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """R5: keys, second factors, administration."""
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", counting(synced))
    with running(home) as log:
        until(lambda: len(synced) >= 2)
        before = len(synced)
        log.note(administered(), durable=True).wait_blocking()
        assert len(synced) >= before + 2


def test_the_second_grade_waits_for_no_commit(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """R5: never on the request's path; a commit hangs, and requests are recorded as ever."""
    hanging, free = threading.Event(), threading.Event()
    with running(home) as log:
        real = os.fsync

        def hang(descriptor: int) -> None:
            hanging.set()
            free.wait(10)
            real(descriptor)

        monkeypatch.setattr(os, "fsync", hang)
        durable = log.note(administered(), durable=True)
        assert hanging.wait(5)
        for number in range(20):
            log.note(decided(f"r-{number}")).wait_blocking(1.0)
        assert not durable.written
        free.set()
        durable.wait_blocking()


def test_the_group_is_committed_within_about_a_second(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with running(home) as log:
        synced: list[int] = []
        monkeypatch.setattr(os, "fsync", synced.append)
        for number in range(100):
            log.note(decided(f"r-{number}")).wait_blocking()
        assert until(lambda: len(synced) >= 2) < 1.5
        assert len(synced) <= 4


def test_a_secret_ends_its_own_request_alone(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    """R1"""
    with running(home) as log:
        bad, good = log.note(decided("bad", reason=Secret("hunter2"))), log.note(decided("good"))
        good.wait_blocking()
        with pytest.raises(Unavailable):
            bad.wait_blocking()
        assert log.usable()
    assert request_ids(home) == ["good"]
    assert "hunter2" not in caplog.text
    assert "audit record refused" in caplog.text


def test_a_full_file_is_followed_by_another(home: Path) -> None:
    with running(home, rotate_at=20_000) as log:
        for number in range(300):
            log.note(decided(f"r-{number}"))
        log.note(decided("last")).wait_blocking()
    files = list((home / "audit").glob("*.jsonl"))
    assert len(files) > 3
    assert max(file.stat().st_size for file in files) < 20_000 + 64 * 600
    assert len(set(request_ids(home))) == 301
    found = verify(home)
    assert (found.faults, found.unsigned) == ((), 0)


def test_nothing_is_noted_before_the_start_and_after_the_end(home: Path) -> None:
    log = AuditLog(home, SystemClock())
    assert log.stop()
    with pytest.raises(Unavailable):
        log.note(decided())
    log.start()
    log.require_usable()
    log.note(decided("r"))
    assert log.stop()
    assert log.stop()
    assert not log.usable()
    with pytest.raises(Unavailable):
        log.require_usable()
    with pytest.raises(Unavailable) as refused:
        log.note(decided())
    assert (refused.value.status, refused.value.retry_after) == (503, 5)
    assert request_ids(home) == ["r"]


def test_the_end_writes_all_that_waits(home: Path) -> None:
    """F4"""
    log = AuditLog(home, SystemClock())
    log.start()
    for number in range(5000):
        log.note(decided(f"r-{number}"))
    assert log.stop()
    assert len(request_ids(home)) == 5000
    assert lines_in(home)[-1]["kind"] == "stop"


def test_too_many_that_wait_close_the_door(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "MOST_WAITING", 100)
    with running(home, ManualClock()) as log:
        free = hold(monkeypatch, "_write")
        tickets: list[Ticket] = []
        with contextlib.suppress(Unavailable):
            while len(tickets) < 1000:
                tickets.append(log.note(decided(f"r-{len(tickets)}")))
        assert len(tickets) < 100 + 64 + 10
        free.set()
        tickets[-1].wait_blocking()
        log.note(decided("after")).wait_blocking()


def test_a_start_names_the_files_that_ended_and_those_that_live(home: Path) -> None:
    with running(home) as first:
        pass
    with running(home) as second, running(home) as third:
        pass
    told = {one["file"]: one for one in lines_in(home) if one["kind"] == "start"}
    assert [entry.split()[0] for entry in told[second.file]["follows"]] == [first.file]
    assert "follows" not in told[third.file]
    assert [entry.split()[0] for entry in told[third.file]["seen"]] == [second.file]
    assert verify(home).faults == ()


# ---- F2: the disk that is gone, slow, full of garbage, closed to us ------------------------------------------------


def hold(monkeypatch: pytest.MonkeyPatch, name: str) -> threading.Event:
    """A disk that does not answer until the event is set."""
    free, real = threading.Event(), getattr(segments, name)

    def slow(*arguments: object) -> None:
        free.wait(20)
        real(*arguments)

    monkeypatch.setattr(segments, name, slow)
    return free


@pytest.mark.parametrize("gone", ["audit", "heads"])
def test_down_a_folder_that_is_taken_away(home: Path, gone: str, caplog: pytest.LogCaptureFixture) -> None:
    with running(home) as log:
        log.note(decided("before")).wait_blocking()
        name = log.file
        shutil.rmtree(home / gone)
        lost = log.note(decided("lost"))
        with pytest.raises(Unavailable):
            lost.wait_blocking()
        assert not log.usable()
        until(log.usable)
        log.note(decided("after")).wait_blocking()
    assert request_ids(home)[-1] == "after"
    assert any(name in str(fault) for fault in verify(home).faults), "that it was taken away is found"
    assert [record.levelname for record in caplog.records if "cannot be written" in record.message] == ["ERROR"]


def test_down_a_durable_record_that_was_on_its_way_is_not_told_as_written(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R5: its file is taken away while the disk is busy with the one before it."""
    begun, free, real = threading.Event(), threading.Event(), os.fsync

    def fsync(descriptor: int) -> None:
        if threading.current_thread().name == "audit-commit":
            begun.set()
            free.wait(10)
        real(descriptor)

    with running(home) as log:
        monkeypatch.setattr(os, "fsync", fsync)
        log.note(administered(), durable=True)
        assert begun.wait(5)
        lost = log.note(administered("lost"), durable=True)
        log.note(decided()).wait_blocking()
        file = log.file
        shutil.rmtree(home / "audit")
        until(lambda: lost.failed)
        until(lambda: log.file != file)
        free.set()
        until(log.usable)
        assert not lost.written


def test_a_thread_that_ends_closes_the_door(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever it was: nobody waits for ever, and nothing is allowed."""
    monkeypatch.setattr(threading, "excepthook", lambda hook: None)
    log = AuditLog(home, SystemClock())
    log.start()
    monkeypatch.setattr(log, "_meet", lambda *arguments: (_ for _ in ()).throw(SystemExit))
    ticket, other = log.note(decided()), log.note(decided())
    with pytest.raises(Unavailable):
        other.wait_blocking()
    assert not ticket.written
    assert is_closed(log)
    assert not log.stop()


def test_down_is_noticed_while_nobody_calls(home: Path) -> None:
    with running(home) as log:
        shutil.rmtree(home / "audit")
        assert until(lambda: not log.usable()) < 2.0


def test_down_while_it_lasts_nothing_is_allowed(home: Path) -> None:
    with running(home) as log:
        shutil.rmtree(home / "audit")
        (home / "audit").write_text("a file in its place")
        until(lambda: not log.usable())
        for _ in range(15):
            assert is_closed(log)
            time.sleep(0.03)
        (home / "audit").unlink()
        until(log.usable)
        log.note(decided("after")).wait_blocking()


def test_down_bytes_that_somebody_else_adds_or_cuts_close_the_file(home: Path) -> None:
    with running(home) as log:
        for change in (b"x\n", None):
            file = home / "audit" / log.file
            if change is None:
                os.truncate(file, 10)
            else:
                with file.open("ab") as opened:
                    opened.write(change)
            with pytest.raises(Unavailable):
                log.note(decided("lost")).wait_blocking()
            until(log.usable)
            assert log.file != file.name
    assert len({fault.file for fault in verify(home).faults}) == 2


@pytest.mark.parametrize("call", ["_write", "fsync"])
async def test_slow_a_disk_that_hangs_closes_the_door_after_five_seconds(
    home: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    clock = ManualClock()
    with running(home, clock) as log:
        if call == "_write":
            free = hold(monkeypatch, "_write")
        else:
            free = threading.Event()
            monkeypatch.setattr(os, "fsync", lambda descriptor: free.wait(20))
        ticket = log.note(administered(), durable=True)
        await asyncio.sleep(0.1)
        assert log.usable()
        clock.advance(5.1)
        assert not log.usable()
        with pytest.raises(Unavailable):
            log.note(decided())
        free.set()
        await ticket.wait()
        await asyncio.to_thread(until, log.usable, 1.0)
    assert verify(home).faults == ()


async def test_slow_the_loop_never_stands_still(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a write nor a commit that hangs keeps anybody else waiting."""
    with running(home) as log:
        free = hold(monkeypatch, "_write")
        monkeypatch.setattr(os, "fsync", lambda descriptor: free.wait(20))
        waiting = [asyncio.ensure_future(log.note(decided(), durable=True).wait()) for _ in range(100)]
        longest = 0.0
        for _ in range(50):
            began = time.monotonic()
            log.note(decided())
            await asyncio.sleep(0.005)
            longest = max(longest, time.monotonic() - began)
        assert not any(one.done() for one in waiting)
        free.set()
        await asyncio.gather(*waiting)
    assert longest < 1.0


async def test_slow_nobody_waits_for_ever(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llmauth.audit.tickets.STUCK_SECONDS", 0.05)
    with running(home) as log:
        free = hold(monkeypatch, "_write")
        with pytest.raises(Unavailable, match="cannot be recorded"):
            await log.note(decided()).wait()
        free.set()


def test_a_commit_that_fails_closes_the_door_and_a_fresh_file_opens_it(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(home) as log:
        first, real = log.file, os.fsync
        broken = threading.Event()
        broken.set()

        def fsync(descriptor: int) -> None:
            if broken.is_set():
                raise OSError(5, "Input/output error")
            real(descriptor)

        monkeypatch.setattr(os, "fsync", fsync)
        with pytest.raises(Unavailable):
            log.note(administered(), durable=True).wait_blocking()
        assert is_closed(log)
        broken.clear()
        until(log.usable)
        log.note(administered(), durable=True).wait_blocking()
    starts = {told["file"]: told for told in lines_in(home) if told["kind"] == "start"}
    assert any(told.get("broken", "").startswith(first) for told in starts.values())
    assert verify(home).faults == ()


FULL = """
import resource, sys, time
from pathlib import Path
from llmauth.audit import writer
from llmauth.audit.writer import AuditLog
from llmauth.clock import SystemClock
from llmauth.errors import Unavailable
from tests.fixtures.audits import decided
writer._LOOK_SECONDS = 0.1
log = AuditLog(Path(sys.argv[1]), SystemClock())
log.start()
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
written = 0
try:
    for number in range(10_000):
        log.note(decided(f"r-{number}")).wait_blocking()
        written += 1
except Unavailable:
    print(written, log.usable())
# A fresh file is within the limit again, so the limit goes to nothing at all.
resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
time.sleep(0.3)
refused = 0
for number in range(20):
    try:
        log.note(decided("never")).wait_blocking()
    except Unavailable:
        refused += 1
print(refused)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
began = time.monotonic()
while not log.usable():
    time.sleep(0.01)
print(time.monotonic() - began)
log.note(decided("after")).wait_blocking()
log.stop()
"""


def child(code: str, *arguments: object, **more: Any) -> list[str]:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, **more)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_full_a_disk_without_room(home: Path) -> None:
    told, refused, recovery = child(FULL, home)
    written, usable = told.split()
    assert (int(written) > 30, usable) == (True, "False")
    assert int(refused) == 20
    assert float(recovery) < RECOVERY_SECONDS
    ids = request_ids(home)
    assert ids[: int(written)] == [f"r-{number}" for number in range(int(written))]
    assert (ids[-1], "never" in ids) == ("after", False)
    assert verify(home).faults == ()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")
def test_full_a_small_disk(tmp_path: Path) -> None:
    """A write that finds no room may have gone half the way: what is left of it is cut off."""
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200k,mode=700", "audit", tmp_path], check=False)
    if mounted.returncode:
        pytest.skip("no file system can be mounted here")
    try:
        log = AuditLog(tmp_path, SystemClock())
        log.start()
        (tmp_path / "ballast").write_bytes(b"x" * 100_000)
        with contextlib.suppress(Unavailable):
            for number in range(10_000):
                log.note(decided(f"r-{number}"))
                log.note(decided(f"s-{number}")).wait_blocking()
        assert not log.usable()
        (tmp_path / "ballast").unlink()
        until(log.usable)
        log.note(decided("after")).wait_blocking()
        log.stop()
        found = verify(tmp_path)
        assert (found.faults, found.unsigned) == ((), 0)
        assert request_ids(tmp_path)[-1] == "after"
    finally:
        subprocess.run(["umount", "-l", tmp_path], check=True)


def test_garbage_in_the_folder_keeps_nobody_from_starting(home: Path) -> None:
    with running(home):
        pass
    audit = home / "audit"
    (audit / "junk.jsonl").write_bytes(os.urandom(3_000_000).replace(b"\n", b""))
    (audit / "empty.jsonl").touch()
    (audit / "folder.jsonl").mkdir()
    (audit / "link.jsonl").symlink_to("/dev/zero")
    os.mkfifo(audit / "pipe.jsonl")
    (audit / "strange name.jsonl").write_text('{"follows":7,"seq":1}\n')
    (audit / "notes.txt").write_text("not ours")
    (home / "heads" / "junk.head").write_bytes(b"\xff" * 300)
    with running(home) as log:
        log.note(decided()).wait_blocking()
    names = {fault.file for fault in verify(home).faults}
    assert names == {f"{name}.jsonl" for name in ("junk", "empty", "folder", "link", "pipe", "strange name")}


def test_denied_a_disk_that_became_read_only(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As Linux makes it one after a fault: whatever is opened or written is refused."""
    with running(home) as log:
        real, closed = (os.open, segments._write), threading.Event()
        closed.set()

        def only_read(call: Callable[..., Any]) -> Callable[..., Any]:
            def tried(*arguments: Any) -> Any:
                if closed.is_set() and not (call is real[0] and arguments[1] & 3 == os.O_RDONLY):
                    raise OSError(errno.EROFS, os.strerror(errno.EROFS))
                return call(*arguments)

            return tried

        monkeypatch.setattr(os, "open", only_read(os.open))
        monkeypatch.setattr(segments, "_write", only_read(segments._write))
        with pytest.raises(Unavailable, match="cannot be recorded"):
            log.note(decided("lost")).wait_blocking()
        time.sleep(0.3)
        assert is_closed(log)
        closed.clear()
        until(log.usable)
        log.note(decided("after")).wait_blocking()
    assert request_ids(home) == ["after"]
    assert verify(home).faults == ()


DENIED = """
import os, sys
from pathlib import Path
from llmauth.audit.writer import AuditLog
from llmauth.clock import SystemClock
from llmauth.storage.home import StateError
if os.geteuid() == 0:
    os.setgid(65534); os.setuid(65534)
try:
    AuditLog(Path(sys.argv[1]), SystemClock()).start()
except StateError as error:
    print(error)
"""


def test_denied_a_folder_that_may_not_be_written_is_a_sentence() -> None:
    with tempfile.TemporaryDirectory() as open_to_all:
        home = Path(open_to_all) / "home"
        with running(home):
            pass
        (home / "audit").chmod(0o500)
        home.parent.chmod(0o755)
        if os.geteuid() == 0:
            for path in [home, *home.rglob("*")]:
                os.chown(path, 65534, 65534)
        (said,) = child(DENIED, home)
        assert "cannot be written: Permission denied." in said
        (home / "audit").chmod(0o700)


def test_denied_folders_that_are_open_to_others_are_refused(home: Path) -> None:
    """R4"""
    with running(home):
        pass
    (home / "audit").chmod(0o755)
    with pytest.raises(StateUnsafe, match="chmod 700"):
        AuditLog(home, SystemClock()).start()
    (home / "audit").chmod(0o700)
    (home / "audit.key").chmod(0o644)
    with pytest.raises(StateUnsafe, match="who could sign"):
        AuditLog(home, SystemClock()).start()


def test_a_key_that_is_none_is_a_sentence(home: Path) -> None:
    home.mkdir(mode=0o700)
    (home / "audit.key").touch(mode=0o600)
    with pytest.raises(StateError, match="no key of the audit record"):
        AuditLog(home, SystemClock()).start()


# ---- what it costs -------------------------------------------------------------------------------------------------


def test_a_note_costs_microseconds_on_the_loop(home: Path) -> None:
    """About half a microsecond where it was measured; a busy machine is given forty times that."""
    costs = []
    with running(home) as log:
        for number in range(2000):
            record = decided(f"r-{number}")
            began = time.perf_counter()
            log.note(record)
            costs.append(time.perf_counter() - began)
            if number % 50 == 0:
                time.sleep(0.001)
    assert statistics.median(costs) < 20e-6


async def test_the_loop_is_woken_once_for_many_and_not_at_all_for_nobody(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop, woken = asyncio.get_running_loop(), []
    real = loop.call_soon_threadsafe

    def count(callback: Callable[..., object], *arguments: object) -> object:
        woken.append(callback)
        return real(callback, *arguments)

    with running(home) as log:
        free = hold(monkeypatch, "_write")
        monkeypatch.setattr(loop, "call_soon_threadsafe", count)
        unwatched = [log.note(decided(f"r-{number}")) for number in range(50)]
        free.set()
        until(lambda: all(ticket.written for ticket in unwatched))
        assert woken == []
        free.clear()
        tickets = [log.note(decided(f"s-{number}")) for number in range(50)]
        waiting = [asyncio.ensure_future(ticket.wait()) for ticket in tickets]
        await asyncio.sleep(0.05)
        free.set()
        await asyncio.gather(*waiting)
        assert 1 <= len(woken) <= 3


def test_the_log_tells_how_far_the_record_goes(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Wherever logs are collected, an older record cannot be put back."""
    caplog.set_level(logging.INFO, "llmauth.audit")
    clock = ManualClock()
    with running(home, clock) as log:
        clock.advance(3599.0)
        log.note(decided()).wait_blocking()
        clock.advance(2.0)
        log.note(decided()).wait_blocking()
        until(lambda: len(heads(caplog)) == 2)
    assert [seq for _, seq, _ in heads(caplog)] == [1, 3, 4]
    hashes = [told["hash"] for told in lines_in(home)]
    assert heads(caplog) == [(log.file, seq, hashes[seq - 1]) for seq in (1, 3, 4)]


def heads(caplog: pytest.LogCaptureFixture) -> list[tuple[str, int, str]]:
    told = [vars(record) for record in caplog.records if record.message == "audit record stands"]
    return [(one["file"], one["seq"], one["hash"]) for one in told]


def test_logs_hold_facts_and_no_records(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with running(home) as log:
        log.note(decided("canary")).wait_blocking()
    assert "canary" not in caplog.text


async def test_what_is_gathered_is_written_together_and_nobody_is_kept_waiting(home: Path) -> None:
    with running(home) as log:
        tickets = [log.note(decided(f"r-{number}"), gathered=True) for number in range(5)]
        await tickets[0].wait()
        assert all(ticket.written for ticket in tickets)
        quiet = log.note(decided("r-quiet"), gathered=True)
        log.note_later(decided("r-later"))
        ends = time.monotonic() + 2
        while not quiet.written and time.monotonic() < ends:
            await asyncio.sleep(0.001)
        assert quiet.written, "though nobody waits for it"
    assert request_ids(home)[:5] == [f"r-{number}" for number in range(5)]
    assert sorted(request_ids(home)[5:]) == ["r-later", "r-quiet"]
