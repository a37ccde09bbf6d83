"""A credential that is kept and used again while it is young: for those who ask a source from several threads."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from llmauth.clock import Clock
from llmauth.secrets import Loaded
from llmauth.sources import SourceFailed, SourceUnavailable

# Less than after which a lease is renewed, jitter included, so that what it gets then is a new one.
SHARE_OF_LIFE = 0.7


@dataclass(frozen=True, slots=True, kw_only=True)
class Youth:
    """Until when something may be used again, by whichever clock comes first: a jump of one makes nothing younger."""

    wall: float
    monotonic: float

    @classmethod
    def of(cls, seconds: float, clock: Clock) -> Youth:
        """Of something that lives for so many seconds from now: a share of them."""
        young = SHARE_OF_LIFE * seconds
        return cls(wall=clock.wall() + young, monotonic=clock.monotonic() + young)

    def is_over(self, clock: Clock) -> bool:
        """Whether it is to be fetched anew."""
        return clock.wall() >= self.wall or clock.monotonic() >= self.monotonic


class Kept:
    """Asks `load` when nothing young is held; one thread at a time, the others wait and share what comes of it."""

    def __init__(self, load: Callable[[], Loaded], clock: Clock, *, static: float = 60.0) -> None:
        self._load = load
        self._clock = clock
        self._static = static
        self._lock = threading.Lock()
        self._held: tuple[Loaded, Youth] | None = None
        self._failure: tuple[float, SourceUnavailable | SourceFailed] | None = None
        self._forgotten = 0

    def get(self) -> Loaded:
        """What is held or found. Raises what `load` raises."""
        asked = time.monotonic()
        with self._lock:
            held = self._held
            if held is not None and not held[1].is_over(self._clock):
                return held[0]
            # It failed while we waited. Asked once more by each, the last of them would wait for longer than it may.
            if self._failure is not None and self._failure[0] >= asked:
                raise type(self._failure[1])(self._failure[1].reason)
            return self._found()

    def _found(self) -> Loaded:
        forgotten = self._forgotten
        try:
            loaded = self._load()
        except (SourceUnavailable, SourceFailed) as refusal:
            self._failure = (time.monotonic(), refusal)
            raise
        if self._forgotten == forgotten:  # else it was found before that, and may be what was refused
            life = self._static if loaded.expires_at is None else loaded.expires_at - self._clock.wall()
            self._held = (loaded, Youth.of(life, self._clock))
        return loaded

    def forget(self) -> None:
        """It was refused: ask anew the next time. Never blocks."""
        self._forgotten += 1
        self._held = None
