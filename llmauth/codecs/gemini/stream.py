"""Gemini's stream, as events: server-sent events that each hold a whole response, and no word at the end."""

from __future__ import annotations

from llmauth.chat.events import Event, Failed
from llmauth.codecs.gemini.chunks import Chunks
from llmauth.codecs.gemini.errors import told_failure
from llmauth.codecs.reading import Malformed, parse_fast
from llmauth.errors import BrokenAnswer, GatewayError
from llmauth.framing import sse


class GeminiDecoder:
    """How a choice ended is told when the body ends: some models say STOP in chunks before their last one."""

    def __init__(self) -> None:
        self._frames = sse.Decoder()
        self._chunks = Chunks()
        self._deaf = False

    def feed(self, data: bytes) -> list[Event]:
        """The events that are complete with these bytes."""
        if self._deaf:
            return []
        events = self._read(self._frames.feed(data))
        if self._frames.fault and not self._deaf:
            events.append(self._fail(BrokenAnswer(f"The stream of Gemini is broken: {self._frames.fault}.")))
        return events

    def close(self) -> list[Event]:
        """The last words, or a failure where a choice was not finished."""
        if self._deaf:
            return []
        events = self._read(self._frames.close())
        if self._deaf:
            return events
        try:
            ended = self._chunks.end(whole=False)
        except Malformed as malformed:
            return [*events, self._unreadable(malformed)]
        if ended is None:
            return [*events, self._fail(BrokenAnswer("The stream of Gemini ended before its end."))]
        self._deaf = True
        return events + ended

    def _read(self, frames: list[sse.ServerEvent]) -> list[Event]:
        events: list[Event] = []
        for frame in frames:
            try:
                value = parse_fast(frame.data)
                failure = told_failure(value)
                if failure is None:
                    events.extend(self._chunks.take(value))
                    continue
            except RecursionError:
                return [*events, self._unreadable(Malformed("", "nested too deeply"))]
            except Malformed as malformed:
                return [*events, self._unreadable(malformed)]
            return [*events, self._fail(failure)]
        return events

    def _unreadable(self, malformed: Malformed) -> Failed:
        return self._fail(BrokenAnswer(f"The stream of Gemini cannot be read: {malformed}."))

    def _fail(self, error: GatewayError) -> Failed:
        self._deaf = True
        return Failed(error)
