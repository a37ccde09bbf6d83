"""A command runs as if nobody stood around it: its status, its signals, its terminal, its standard streams."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from llmauth.clients.child import end_as
from tests.fixtures.serving import ROOT

WRAPPER = """
import os, sys
from llmauth.clients.child import NotStarted, end_as, run_in_foreground
try:
    status = run_in_foreground(sys.argv[1:], os.environ)
except NotStarted as error:
    print(error, file=sys.stderr)
    raise SystemExit(error.status)
raise SystemExit(end_as(status))
"""


def wrapped(*command: str) -> list[str]:
    return [sys.executable, "-S", "-c", WRAPPER, *command]


def run(*command: str, text: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(wrapped(*command), cwd=ROOT, input=text, capture_output=True, text=True, timeout=20)


def test_its_streams_and_its_status_are_its_own() -> None:
    done = run("sh", "-c", "cat; echo aside >&2; exit 7", text="in\n")
    assert (done.stdout, done.stderr, done.returncode) == ("in\n", "aside\n", 7)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_whoever_waits_sees_by_which_signal_it_died(number: int) -> None:
    assert run("sh", "-c", f"kill -{int(number)} $$").returncode == -number


@pytest.mark.parametrize(("command", "status"), [("/nowhere/at-all", 127), ("/etc/passwd", 126)])
def test_one_that_cannot_be_started(command: str, status: int) -> None:
    done = run(command)
    assert (done.returncode, done.stderr.count("\n")) == (status, 1)
    assert command in done.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1])
def test_a_signal_for_us_is_one_for_it(number: int) -> None:
    """Docker and supervisors know one process alone; the command decides what becomes of it."""
    script = f"trap 'echo heard; exit 5' {int(number)}; echo ready; while :; do sleep 0.05; done"
    with subprocess.Popen(wrapped("sh", "-c", script), cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        assert process.stdout.read() == "heard\n"
    assert process.returncode == 5


def test_a_terminal_is_its_own_and_ctrl_c_is_heard_once(tmp_path: Path) -> None:
    """The terminal tells the whole group; to pass it on as well would be a second Ctrl-C."""
    script = "import signal,sys,time,os\nn=[]\nsignal.signal(2, lambda *a: n.append(1))\n"
    script += "print('tty', sys.stdin.isatty(), os.getpgrp() == os.tcgetpgrp(0), flush=True)\n"
    script += "end = time.time() + 5\nwhile not n and time.time() < end: time.sleep(0.01)\ntime.sleep(0.2)\n"
    script += "print('heard', len(n), flush=True)"
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(ROOT)
        os.execv(sys.executable, wrapped(sys.executable, "-S", "-c", script))
    said = _until(terminal, b"tty True True")
    os.write(terminal, b"\x03")
    said += _until(terminal, b"heard")
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert b"heard 1" in said


def _until(terminal: int, word: bytes) -> bytes:
    said, ends = b"", time.monotonic() + 15
    while word not in said and time.monotonic() < ends:
        try:
            said += os.read(terminal, 1024)
        except OSError:
            break
    assert word in said
    return said + (os.read(terminal, 1024) if not said.endswith(b"\n") else b"")


def test_a_status_of_its_own_stays() -> None:
    assert end_as(0) == 0
    assert end_as(130) == 130
