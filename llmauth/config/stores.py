"""The store of keys that a configuration means."""

from __future__ import annotations

from llmauth.clock import Clock
from llmauth.config.settings import Settings
from llmauth.storage.keys import KeyStore
from llmauth.storage.sealing import SealingKey


def open_store(settings: Settings, clock: Clock | None = None) -> KeyStore:
    """Opened, its tables made or brought up to date; StateError, with what to do, when it cannot be used."""
    storage = settings.storage
    sealing = SealingKey(settings.home, storage.sealing_key_file)
    return KeyStore(storage.url, clock, sealing=sealing, stale_after=storage.stale_after)
