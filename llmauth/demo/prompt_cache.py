"""What an emulated provider keeps of prompts: a marked prefix is written once, and read when it comes again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from llmauth.demo.words import dumps

_MARKS = ("cache_control", "cachePoint", "prompt_cache_breakpoint")


@dataclass(frozen=True, slots=True)
class Block:
    """A piece of a prompt, in the order in which the model reads it; `mark` ends a prefix, and tells for how long."""

    content: Any
    mark: str | None = None  # "5m" or "1h"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cached:
    """Tokens that were read, and that were written: of these, `hour` are kept for an hour."""

    read: int = 0
    written: int = 0
    hour: int = 0

    @property
    def total(self) -> int:
        """What is counted beside the plain input."""
        return self.read + self.written


class PromptCache:
    """Prefixes by their hash, for ever: a short prompt is kept as a long one is, which a real provider would not do."""

    def __init__(self) -> None:
        self._known: set[bytes] = set()

    def clear(self) -> None:
        """Forget every prompt."""
        self._known.clear()

    def by_marks(self, scope: str, blocks: Iterable[Block]) -> Cached:
        """Read the longest known prefix before the last mark, and write up to each mark after it."""
        read, known, marks = 0, 0, list[tuple[bytes, int, str]]()
        for digest, tokens, block in _prefixes(scope, blocks):
            known = tokens if digest in self._known else known
            if block.mark is not None:
                read = known
                marks.append((digest, tokens, block.mark))
        written = hour = 0
        for digest, tokens, mark in marks:
            more = max(0, tokens - read - written)
            written += more
            hour += more if mark == "1h" else 0
            self._known.add(digest)
        return Cached(read=read, written=written, hour=hour)

    def by_key(self, scope: str, blocks: Iterable[Block]) -> int:
        """Read the longest prefix that was told under the same scope, and keep every one of this prompt."""
        read, met = 0, list[bytes]()
        for digest, tokens, _ in _prefixes(scope, blocks):
            read = tokens if digest in self._known else read
            met.append(digest)
        self._known.update(met)
        return read


def _prefixes(scope: str, blocks: Iterable[Block]) -> Iterable[tuple[bytes, int, Block]]:
    """After each block: the hash of all until then, and about how many tokens that is."""
    whole, size = hashlib.sha256(scope.encode()), 0
    for block in blocks:
        written = dumps(_unmarked(block.content))
        whole.update(b"\0" + written)
        size += len(written)
        yield whole.digest(), size // 4, block


def _unmarked(value: Any) -> Any:
    """A mark is no part of what is kept: it moves on with a conversation."""
    if isinstance(value, list):
        return [_unmarked(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {name: _unmarked(item) for name, item in value.items() if name not in _MARKS}
