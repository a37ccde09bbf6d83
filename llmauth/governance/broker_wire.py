"""What workers and the process that counts for them say to each other: numbered JSON lists, each behind its length."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

from llmauth.governance.demands import NANOS, Demand, Scope, Settlement

LONGEST = 256 * 1024
_LENGTH = 4
# sockaddr_un holds 108 bytes on Linux and 104 elsewhere, with a zero at the end.
_PATH_BYTES = 100


class Broken(Exception):
    """What came is no message."""


def packed(*words: Any) -> bytes:
    """One message."""
    body = json.dumps(words, separators=(",", ":")).encode("ascii")
    return len(body).to_bytes(_LENGTH) + body


async def received(reader: asyncio.StreamReader) -> list[Any]:
    """The next message; Broken for what is none, EOFError at the end."""
    length = int.from_bytes(await reader.readexactly(_LENGTH))
    if length > LONGEST:
        raise Broken(f"{length} bytes")
    try:
        words = json.loads(await reader.readexactly(length))
    except (ValueError, RecursionError):
        raise Broken("no JSON") from None
    if not isinstance(words, list):
        raise Broken("no list")
    return words


def scopes_as_words(scopes: Sequence[Scope]) -> list[list[Any]]:
    """Scopes as JSON holds them."""
    return [[one.key, one.rpm, one.tpm, one.concurrent, one.budget, one.per] for one in scopes]


def scopes_from_words(words: Sequence[Any]) -> tuple[Scope, ...]:
    """And back."""
    return tuple(
        Scope(key=key, rpm=rpm, tpm=tpm, concurrent=concurrent, budget=budget, per=per)
        for key, rpm, tpm, concurrent, budget, per in words
    )


def demand_from_words(scopes: Sequence[Any], tokens: int, nanos: int) -> Demand:
    """A demand of these scopes and reserves."""
    return Demand(scopes=scopes_from_words(scopes), tokens=tokens, cost=Decimal(nanos) / NANOS)


def settlement_from_words(scopes: Sequence[Any], tokens: int, nanos: int, began: Sequence[int]) -> Settlement:
    """A settlement of these scopes."""
    return Settlement(scopes=scopes_from_words(scopes), tokens=tokens, nanos=nanos, began=tuple(began))


@contextmanager
def short(path: Path) -> Iterator[str]:
    """The path as an address of a socket can hold it, wherever the folder lies."""
    if len(os.fsencode(path)) <= _PATH_BYTES or not Path("/proc/self/fd").exists():
        yield str(path)
        return
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
