"""What holds for every test: none leaves the machine, none draws lots. Fixtures live beside their tests."""

from __future__ import annotations

import ipaddress
import logging
import signal
import socket
import sys
from collections.abc import Generator

import pytest
from hypothesis import settings

# Servers that one start serves the whole run with; a test asks for them by name.
from tests.fixtures.postgres import postgres_server as postgres_server
from tests.fixtures.postgres import postgres_url as postgres_url
from tests.fixtures.redis_server import durable_redis_server as durable_redis_server
from tests.fixtures.redis_server import durable_redis_url as durable_redis_url
from tests.fixtures.redis_server import redis_server as redis_server
from tests.fixtures.redis_server import redis_url as redis_url

# The same examples in every run: a change fails for what it changed. `--hypothesis-profile=default` draws others.
settings.register_profile("repeatable", derandomize=True, deadline=None, max_examples=60)
settings.load_profile("repeatable")

# A shell ignores Ctrl-C for what it runs in the background, and that is inherited: here it counts wherever tests run.
signal.signal(signal.SIGINT, signal.default_int_handler)


def _is_here(host: object) -> bool:
    if not isinstance(host, str | bytes) or host in ("", b""):
        return True
    name = host.decode() if isinstance(host, bytes) else host
    try:
        address = ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return name == "localhost"
    return address.is_loopback or address.is_unspecified


def _is_literal(host: object) -> bool:
    try:
        ipaddress.ip_address(str(host).partition("%")[0])
    except ValueError:
        return False
    return True


def _stay_here(event: str, args: tuple[object, ...]) -> None:
    """Refuses as a network without a way out does, so that what is tested meets an OSError that it knows."""
    if event == "socket.connect" and isinstance(args[1], tuple) and not _is_here(args[1][0]):
        raise PermissionError(f"tests/conftest.py: no test may connect to {args[1][0]}")
    if event == "socket.getaddrinfo" and not _is_here(args[0]) and not _is_literal(args[0]):
        raise socket.gaierror(socket.EAI_NONAME, f"tests/conftest.py: no test may look up {args[0]!r}")


sys.addaudithook(_stay_here)


_LOGGERS = (None, "llmauth", "addons", "mitmproxy", "asyncio", "llmauth.access", "llmauth.decisions")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol() -> Generator[None, object, object]:
    """A command that ran in the tests' own process sets levels of the log; the next test finds them as they were."""
    before = [(logger := logging.getLogger(name), logger.level) for name in _LOGGERS]
    try:
        return (yield)
    finally:
        for logger, level in before:
            logger.setLevel(level)
