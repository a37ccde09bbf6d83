"""What a worker asks of all workers, itself among them, over their control sockets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from llmauth.control.client import ControlFailed, ask_all
from llmauth.errors import Unavailable

_PATIENCE = 3.0
"""Seconds for each: a caller waits for the sum."""


def asking(home: Path) -> Callable[[Mapping[str, Any]], list[dict[str, Any]]]:
    """A function that asks all the same, and blocks; Unavailable where one does not answer."""

    def ask(question: Mapping[str, Any]) -> list[dict[str, Any]]:
        try:
            return ask_all(home, question, _PATIENCE)
        except (ControlFailed, OSError) as error:
            raise Unavailable("The other processes of this gateway cannot be asked.", detail=str(error)) from None

    return ask
