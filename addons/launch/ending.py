"""Ends the process at once: a chain that is not whole serves nobody."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from pathlib import PurePath
from traceback import extract_tb
from typing import NoReturn

from llmauth.ca import CaError
from llmauth.config.problems import ConfigError
from llmauth.storage.home import StateError

logger = logging.getLogger(__name__)

FAILED, MISUSED, SOFTWARE = 1, 2, 70  # the last from sysexits.h: an internal software error


class Misused(ValueError):
    """A tool was started in a way that does not fit; its text is a sentence that says what to do."""


def explained(error: BaseException) -> tuple[int, str]:
    """Exit status and sentence; the text of an error that is not ours may quote a secret and is not shown."""
    if isinstance(error, ConfigError):
        return MISUSED, str(error)
    if isinstance(error, Misused):
        return MISUSED, f"Error: {error}"
    if isinstance(error, CaError | StateError):
        return FAILED, f"Error: {error}"
    if isinstance(error, OSError):
        place = f"{error.filename}: " if error.filename else ""
        return FAILED, f"Error: {place}{error.strerror or type(error).__name__}"
    frame = extract_tb(error.__traceback__)[-1]
    place = f"{'/'.join(PurePath(frame.filename).parts[-2:])}:{frame.lineno}"
    return FAILED, f"Internal error: {type(error).__name__} at {place}. This is a fault of llmauth; please report it."


def refuse_to_start(error: BaseException) -> NoReturn:
    """Say on standard error why nothing is served, and end. A tool would log an exception, and go on without us."""
    status, sentence = explained(error)
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
