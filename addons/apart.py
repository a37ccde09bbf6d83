"""What takes long to be read is read in threads, few at a time: the event loop, and so every other client, goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Result = TypeVar("Result")

LONG = 64 * 1024
"""Bytes of a body from which on it is read there: some two milliseconds."""

# Not asyncio's own threads, in which keys are judged; and few, since each takes its turns from the event loop.
_AT_ONCE = 2
_READERS = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="reader")


async def apart(job: Callable[[], Result]) -> Result:
    """What `job` gives or raises. It must touch nothing that the event loop changes."""
    return await asyncio.get_running_loop().run_in_executor(_READERS, job)
