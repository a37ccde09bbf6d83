"""The level of a running process's log: what the configuration says, or for a while what an operator says."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from llmauth.telemetry import logs

logger = logging.getLogger(__name__)

LONGEST = 86_400.0
"""Seconds that a level may be asked for: who forgets it shall not find a full disk."""


class LogLevel:
    """Belongs to one event loop."""

    def __init__(self, configured: str) -> None:
        self._configured = configured
        self._asked: str | None = None
        self._ends: asyncio.TimerHandle | None = None

    @property
    def level(self) -> str:
        """The one in force."""
        return self._asked or self._configured

    def ask(self, question: dict[str, Any]) -> dict[str, Any]:
        """`level`, for so many seconds (`lasts`) or for good; `reset` ends what was asked for; with neither, nothing
        changes. How it stands then; ValueError, a sentence, for what cannot be asked for."""
        level, lasts = question.get("level"), question.get("lasts")
        if question.get("reset"):
            self._revert()
        elif level is not None:
            if not isinstance(level, str):
                raise ValueError("the level is no word")
            if lasts is not None and not (isinstance(lasts, int | float) and 0 < lasts <= LONGEST):
                raise ValueError("a level lasts for a day at most")
            self._begin(level, lasts)
        left = None if self._ends is None else round(self._ends.when() - asyncio.get_running_loop().time())
        return {"level": self.level, "configured": self._configured, "ends_in": left}

    def follow(self, configured: str) -> None:
        """The configuration says this now; what an operator asked for goes on."""
        self._configured = configured
        logs.set_level(self.level)

    def _begin(self, level: str, lasts: float | None) -> None:
        logs.set_level(level)
        self._asked = level.lower()
        self._stop_clock()
        if lasts is not None:
            self._ends = asyncio.get_running_loop().call_later(lasts, self._revert)
        logger.warning("The log level is another one now", extra={"level": level, "seconds": lasts})

    def _revert(self) -> None:
        self._stop_clock()
        self._asked = None
        logs.set_level(self._configured)
        logger.warning("The log level is the configured one again", extra={"level": self._configured})

    def _stop_clock(self) -> None:
        if self._ends is not None:
            self._ends.cancel()
            self._ends = None
