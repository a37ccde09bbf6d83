"""Runs a command in the foreground as if nobody stood around it: its terminal, its signals, its exit status."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence

NOT_EXECUTABLE, NOT_FOUND = 126, 127
"""The statuses of env(1) and of shells."""

# Passed on where they were sent to us alone. What stops and resumes, and a change of the window's size, the terminal
# tells the whole group, to which the command belongs as we do.
_PASSED_ON = (
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGTERM,
    signal.SIGHUP,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGALRM,
)
_WAITED_FOR = frozenset({*_PASSED_ON, signal.SIGCHLD})
# asm-generic/siginfo.h: SI_KERNEL, "sent by the kernel from somewhere": of these signals, by a terminal.
_BY_TERMINAL = 0x80


class NotStarted(Exception):
    """The command could not be started; `status` is the exit status that shells give it."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


def run_in_foreground(command: Sequence[str], environ: Mapping[str, str]) -> int:
    """The command's exit status, below zero for the signal that ended it. Call it in the main thread.

    The signals that end programs stay blocked afterwards, so that nothing cuts the ending short. NotStarted.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _WAITED_FOR)

    def unblock() -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)

    try:
        process = subprocess.Popen(command, env=dict(environ), preexec_fn=unblock)
    except FileNotFoundError:
        raise NotStarted(f"{command[0]}: there is no such program.", NOT_FOUND) from None
    except OSError as error:
        raise NotStarted(f"{command[0]}: cannot be started: {error.strerror}.", NOT_EXECUTABLE) from None
    while (status := process.poll()) is None:
        number, by_terminal = _next_signal()
        if number != signal.SIGCHLD and not by_terminal:
            process.send_signal(number)
    return status


def end_as(status: int) -> int:
    """Die by the signal that the command died by, as a shell looks for; the exit status where it ended by itself."""
    if status >= 0:
        return status
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    number = -status
    if number not in (signal.SIGKILL, signal.SIGSTOP):
        signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
    os.kill(os.getpid(), number)
    return 128 + number


def _next_signal() -> tuple[int, bool]:
    """The next signal, and whether a terminal sent it, to the command too."""
    if sys.platform != "darwin":
        told = signal.sigwaitinfo(_WAITED_FOR)
        return told.si_signo, told.si_code == _BY_TERMINAL
    number = signal.sigwait(_WAITED_FOR)
    return number, number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP) and any(map(os.isatty, range(3)))
