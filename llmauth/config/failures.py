"""Why a program ends, in a status and a sentence for the operator; a secret that an error quotes is in neither."""

from __future__ import annotations

from pathlib import PurePath
from traceback import extract_tb

from llmauth.ca import CaError
from llmauth.config.problems import ConfigError
from llmauth.errors import GatewayError
from llmauth.storage.home import StateError

FAILED, MISUSED = 1, 2


def explained(error: BaseException) -> tuple[int, str]:
    """Exit status and sentence; the text of an error that is not ours may quote a secret and is not shown."""
    if isinstance(error, ConfigError):
        return MISUSED, str(error)
    if isinstance(error, GatewayError):
        return FAILED, f"Error: {error.sentence}"
    if isinstance(error, CaError | StateError):
        return FAILED, f"Error: {error}"
    if isinstance(error, OSError):
        place = f"{error.filename}: " if error.filename else ""
        return FAILED, f"Error: {place}{error.strerror or type(error).__name__}"
    frame = extract_tb(error.__traceback__)[-1]
    place = f"{'/'.join(PurePath(frame.filename).parts[-2:])}:{frame.lineno}"
    return FAILED, f"Internal error: {type(error).__name__} at {place}. This is a fault of llmauth; please report it."
