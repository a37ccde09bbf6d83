"""The process beside the workers that counts what they must not exceed together."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import socket
from contextlib import suppress
from pathlib import Path

from addons.launch.workers.line import ToParent
from llmauth.control.place import folder_of, short
from llmauth.governance.broker import BrokerServer

_NAMES = "limits-*.sock"


def socket_path(home: Path) -> Path:
    """Where it listens: in a folder of the state that is closed. Those of processes that were killed are swept away."""
    folder = folder_of(home)
    folder.mkdir(mode=0o700, exist_ok=True)
    folder.chmod(0o700)
    for left in folder.glob(_NAMES):
        _sweep(left)
    return folder / f"limits-{os.getpid()}-{secrets.token_hex(4)}.sock"


def _sweep(left: Path) -> None:
    with socket.socket(socket.AF_UNIX) as connection, suppress(OSError), short(left.parent, left.name) as path:
        connection.settimeout(0.2)
        try:
            connection.connect(path)
        except ConnectionRefusedError:
            left.unlink()


def count_limits(path: Path, workers: int, line: socket.socket) -> None:
    """Count until the parent says that nobody needs it. Where that was killed, until the last worker has ended, which
    the end of the pipe `workers` tells."""
    for number in (signal.SIGTERM, signal.SIGINT):
        # A service manager signals all processes at once, and requests are counted until the last of them is over.
        signal.signal(number, signal.SIG_IGN)
    asyncio.run(_count(path, workers, line))


async def _count(path: Path, workers: int, line: socket.socket) -> None:
    broker, parent, over = BrokerServer(), ToParent(line), asyncio.Event()
    await parent.open()
    await broker.serve(path)
    try:
        parent.say(say="ready")
        if await parent.next() is None:
            asyncio.get_running_loop().add_reader(workers, over.set)
            await over.wait()
    finally:
        await broker.stop()
        path.unlink(missing_ok=True)
