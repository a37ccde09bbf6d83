"""The log level of a running process: asked for, for a while, and back."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from llmauth.control.levels import LogLevel
from llmauth.telemetry import logs


@pytest.fixture(autouse=True)
def _level() -> Iterator[None]:
    before = {name: logging.getLogger(name).level for name in (None, "llmauth", "addons", "mitmproxy", "asyncio")}
    yield
    for name, level in before.items():
        logging.getLogger(name).setLevel(level)


def level() -> int:
    return logging.getLogger("llmauth").level


async def test_it_is_another_one_until_it_is_reset() -> None:
    one = LogLevel("info")
    assert one.ask({}) == {"level": "info", "configured": "info", "ends_in": None}
    assert one.ask({"level": "DEBUG"})["level"] == "debug"
    assert level() == logging.DEBUG
    assert logging.getLogger("mitmproxy").level == logging.WARNING  # libraries say more than may be logged
    assert one.ask({"reset": True})["level"] == "info"
    assert level() == logging.INFO


async def test_it_ends_by_itself_and_a_later_question_counts() -> None:
    one = LogLevel("warning")
    assert one.ask({"level": "debug", "lasts": 30})["ends_in"] == 30
    one.ask({"level": "error", "lasts": 0.01})
    await asyncio.sleep(0.05)
    assert (one.level, level()) == ("warning", logging.WARNING)


async def test_what_was_asked_for_outlives_a_change_of_the_configuration() -> None:
    one = LogLevel("info")
    one.follow("error")
    assert level() == logging.ERROR
    one.ask({"level": "debug"})
    one.follow("warning")
    assert level() == logging.DEBUG
    one.ask({"reset": True})
    assert level() == logging.WARNING


@pytest.mark.parametrize("question", [{"level": "loud"}, {"level": 7}, {"level": "debug", "lasts": 1e9}])
async def test_what_cannot_be_asked_for(question: dict[str, Any]) -> None:
    logs.set_level("info")
    with pytest.raises(ValueError, match="level"):
        LogLevel("info").ask(question)
    assert level() == logging.INFO
