"""Opens the keys at a location: a file of SQLite, a database of PostgreSQL, or a Redis."""

from __future__ import annotations

from pathlib import Path

from llmauth.clock import Clock
from llmauth.storage.keys import KeyStore
from llmauth.storage.redis_urls import is_redis
from llmauth.storage.registry import KeyRegistry
from llmauth.storage.sealing import SealingKey


def open_keys(
    location: str | Path,
    clock: Clock | None = None,
    *,
    sealing: SealingKey | None = None,
    stale_after: float | None = None,
) -> KeyRegistry:
    """What is at a path or URL, made or brought up to date; StateError, with what to do, when it cannot be used.

    Without a `sealing` key, that in the folder of a file is used; a server then has none.
    """
    if isinstance(location, str) and is_redis(location):
        # The driver takes its time to load, and most commands are about a file.
        from llmauth.storage.redis_keys import RedisKeys

        return RedisKeys(location, clock, sealing=sealing, stale_after=stale_after)
    return KeyStore(location, clock, sealing=sealing, stale_after=stale_after)
