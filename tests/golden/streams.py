"""Feeds a stream to a decoder in every way in which bytes may arrive."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

from llmauth.chat.events import Event, Failed
from llmauth.codecs.base import StreamDecoder


def decoded(decoder: StreamDecoder, pieces: list[bytes]) -> list[Event]:
    """The events of a body that came in these pieces and then ended."""
    events = [event for piece in pieces for event in decoder.feed(piece)]
    return events + decoder.close()


def splits(data: bytes, *, seed: int = 7, rounds: int = 20) -> Iterator[list[bytes]]:
    """Whole, byte by byte, in halves at every place of its first kilobyte, and in random pieces."""
    yield [data]
    yield [data[i : i + 1] for i in range(len(data))]
    yield from ([data[:i], data[i:]] for i in range(1, min(len(data), 1024)))
    chance = random.Random(seed)
    for _ in range(rounds):
        cuts = sorted(chance.sample(range(1, len(data)), min(len(data) - 1, chance.randint(1, 40))))
        yield [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]


def same_under_every_split(decoder: Callable[[], StreamDecoder], data: bytes) -> list[Event]:
    """The events of a stream, after it was shown that they are the same however the bytes are split."""
    expected = decoded(decoder(), [data])
    for pieces in splits(data):
        found = decoded(decoder(), pieces)
        assert _told(found) == _told(expected), f"other events when split as {[len(piece) for piece in pieces][:50]}"
    return expected


def _told(events: list[Event]) -> list[object]:
    """Errors are equal by what they say, since two of them are never the same object."""
    return [
        (type(event.error), event.error.message, event.error.code) if isinstance(event, Failed) else event
        for event in events
    ]
