"""Oracle's streams: server-sent events whose data are chunks, read by the format that was asked for."""

from __future__ import annotations

from typing import Any, Protocol

from llmauth.chat.events import Event, Failed, Started
from llmauth.codecs.oracle.errors import failure
from llmauth.codecs.reading import Malformed, parse_fast
from llmauth.errors import BrokenAnswer, GatewayError
from llmauth.framing import sse

_DONE = "[DONE]"


class Chunks(Protocol):
    """Takes the chunks of one stream in one format."""

    @property
    def complete(self) -> bool:
        """Whether every answer that was begun came to its `finishReason`, and one did."""
        ...

    def take(self, chunk: dict[str, Any]) -> list[Event]:
        """What a chunk says. It raises UpstreamError for a failure; Malformed, KeyError and the like if broken."""
        ...


class OracleStream:
    """Events may lack the empty line between them, and `[DONE]` may come or not: the end is told by the chunks."""

    def __init__(self, chunks: Chunks) -> None:
        self._sse = sse.Decoder(lines=True)
        self._chunks = chunks
        self._begun = False
        self._deaf = False

    def feed(self, data: bytes) -> list[Event]:
        """The events that are complete with these bytes."""
        if self._deaf:
            return []
        events = self._read(self._sse.feed(data))
        if self._sse.fault and not self._deaf:
            events.append(self._failed(BrokenAnswer(f"Oracle's stream is broken: {self._sse.fault}.")))
        return events

    def close(self) -> list[Event]:
        """Nothing more, where every answer was finished."""
        if self._deaf:
            return []
        events = self._read(self._sse.close())
        if not self._deaf and not self._chunks.complete:
            events.append(self._failed(BrokenAnswer("Oracle's stream ended before its end was told.")))
        self._deaf = True
        return events

    def _read(self, told: list[sse.ServerEvent]) -> list[Event]:
        events: list[Event] = []
        for event in told:
            if self._deaf:
                break
            if event.data != _DONE:
                self._take(event.data, events)
        return events

    def _take(self, data: str, events: list[Event]) -> None:
        try:
            chunk = parse_fast(data)
            _raise_if_error(chunk)
            found = self._chunks.take(chunk)
        except GatewayError as error:
            events.append(self._failed(error))
        except Malformed as malformed:
            events.append(self._broken(str(malformed)))
        except (AttributeError, KeyError, TypeError, ValueError, IndexError):
            events.append(self._broken("a chunk is not of its format"))
        else:
            if not self._begun:
                self._begun = True
                events.append(Started(id=_id(chunk)))
            events.extend(found)

    def _broken(self, fault: str) -> Failed:
        return self._failed(BrokenAnswer(f"Oracle's stream is broken: {fault[:160]}."))

    def _failed(self, error: GatewayError) -> Failed:
        self._deaf = True
        return Failed(error)


def _raise_if_error(chunk: Any) -> None:
    """An error in the middle is `{code, message}`, as in the body of a refusal."""
    if isinstance(chunk.get("code"), str | int) and not isinstance(chunk.get("message"), dict):
        raise failure(str(chunk["code"]), str(chunk.get("message") or ""))


def _id(chunk: dict[str, Any]) -> str:
    found = chunk.get("id")
    return found if isinstance(found, str) else ""
