"""Ends the process at once: a chain that is not whole serves nobody."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from typing import NoReturn

from llmauth.config.failures import MISUSED, explained

logger = logging.getLogger(__name__)

SOFTWARE = 70  # from sysexits.h: an internal software error


class Misused(ValueError):
    """A tool was started in a way that does not fit; its text is a sentence that says what to do."""


def told(error: BaseException) -> tuple[int, str]:
    """Exit status and sentence of what keeps a tool from serving; a secret that an error quotes is in neither."""
    return (MISUSED, f"Error: {error}") if isinstance(error, Misused) else explained(error)


def refuse_to_start(error: BaseException) -> NoReturn:
    """Say on standard error why nothing is served, and end. A tool would log an exception, and go on without us."""
    status, sentence = told(error)
    with contextlib.suppress(OSError):
        print(sentence, file=sys.stderr, flush=True)  # noqa: T201
    os._exit(status)


def halt(why: str) -> NoReturn:
    """Log why, and end while requests may be running: their connections break, and none is served any further."""
    logger.critical("%s; the process ends", why)
    for handler in logging.getLogger().handlers:
        with contextlib.suppress(OSError, ValueError):
            handler.flush()
    os._exit(SOFTWARE)
