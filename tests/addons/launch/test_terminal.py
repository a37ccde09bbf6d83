"""Whether there is a terminal."""

from __future__ import annotations

import pty
import subprocess
import sys

from tests.fixtures.serving import ROOT, environment

ASK = "from addons.launch.terminal import has_terminal; raise SystemExit(0 if has_terminal() else 9)"
TAKE = "import fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); "


def answer(script: str, stdin: int) -> int:
    """What a process without the terminal of this one finds."""
    done = subprocess.run(
        [sys.executable, "-c", script], stdin=stdin, cwd=ROOT, env=environment(), start_new_session=True, check=False
    )
    return done.returncode


def test_a_process_has_one_only_where_it_was_given_one() -> None:
    ours, theirs = pty.openpty()
    assert answer(TAKE + ASK, theirs) == 0
    assert answer(ASK, subprocess.DEVNULL) == 9
    assert ours != theirs
