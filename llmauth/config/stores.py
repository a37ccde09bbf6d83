"""The store of keys that a configuration means."""

from __future__ import annotations

from llmauth.clock import Clock
from llmauth.config.settings import Settings
from llmauth.storage.registry import KeyRegistry
from llmauth.storage.sealing import SealingKey
from llmauth.storage.stores import open_keys


def open_store(settings: Settings, clock: Clock | None = None) -> KeyRegistry:
    """Opened, its tables made or brought up to date; StateError, with what to do, when it cannot be used."""
    storage = settings.storage
    sealing = SealingKey(settings.home, storage.sealing_key_file)
    return open_keys(storage.url, clock, sealing=sealing, stale_after=storage.stale_after)
