"""The two ways in which a source of secrets says no: it does not exist here, or it is set up and does not work."""

from __future__ import annotations


class SourceUnavailable(Exception):
    """This source does not exist here: nothing is broken, and the next one is asked. `reason` holds no secret."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class SourceFailed(Exception):
    """This source is set up and does not work, or holds what cannot be used. `reason` holds no secret."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
