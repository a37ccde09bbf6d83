"""Whether a process still has the terminal that it was started from: SIGHUP may mean that it is gone."""

from __future__ import annotations

import os


def has_terminal() -> bool:
    """Whether this process belongs to a terminal that is still there."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True
