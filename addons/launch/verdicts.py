"""What came of reading a configuration again: for whoever asked, and for the log."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from llmauth.config.failures import explained
from llmauth.config.problems import ConfigError

logger = logging.getLogger(__name__)

REFUSED = "The configuration cannot be taken over; the one before stays in force"

Answer = dict[str, Any]
"""`ok`; with it what `changed`, what needs a `restart`, and `warnings`; without it `why`, and `problems` by place."""


def why_not(error: Exception) -> Answer:
    """The answer to whoever asked for what is refused; the text of an error that is not ours is not shown."""
    problems: Sequence[Mapping[str, Any]] = ()
    if isinstance(error, ConfigError):
        problems = [
            {"file": one.place.source, "line": one.place.line, "path": one.path, "message": one.message}
            for one in error.problems
        ]
    return {"ok": False, "why": explained(error)[1], "problems": list(problems)}


def tell(answer: Answer, why: str) -> None:
    """The same for the log."""
    if not answer["ok"]:
        logger.error(REFUSED, extra={"asked_by": why, "faults": answer["why"].splitlines()})
        return
    facts = {"asked_by": why, "changed": answer["changed"]}
    if answer["changed"]:
        logger.info("The configuration was taken over", extra=facts)
    else:
        logger.info("The configuration was read again; nothing in it changed", extra={"asked_by": why})
    if answer["restart"]:
        logger.warning("Some of the configuration needs a restart", extra={"restart": answer["restart"]})
    for warning in answer["warnings"] if answer["changed"] else ():
        logger.warning(warning)
