"""One chat between two formats: the request over, the answer and its stream back."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from llmauth.chat.collecting import Collector
from llmauth.chat.events import ArgumentsDelta, Event, Failed, TextDelta, UsageTold
from llmauth.chat.messages import ChatRequest, ChatResponse, Usage
from llmauth.codecs.base import Answering, Asked, ClientCodec, ProviderCodec, StreamEncoder
from llmauth.errors import GatewayError, InternalError, UpstreamError
from llmauth.http import Headers
from llmauth.reflection import hide

logger = logging.getLogger(__name__)


class StreamFilter(Protocol):
    """What changes a stream on its way to the client. `failure` ends it: what `feed` or `cut` gave then is the last."""

    failure: GatewayError | None

    def feed(self, data: bytes) -> bytes:
        """What these bytes become, maybe nothing. Never raises."""
        ...

    def close(self) -> bytes:
        """The provider's body ended as its framing promises: the last words, or the failure that it was."""
        ...

    def cut(self, error: GatewayError) -> bytes:
        """The provider broke off: what the client is told of it."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Translation:
    """A chat that a client asked for in one format and a provider answers in another."""

    client: ClientCodec
    provider: ProviderCodec
    request: ChatRequest
    answering: Answering
    asked: Asked

    def response(self, body: bytes) -> tuple[bytes, ChatResponse]:
        """The client's answer, and what it says. Raises BrokenAnswer or UpstreamError."""
        response = self.provider.parse_response(body)
        return self.client.render_response(response, self.answering), response

    def error(self, status: int, headers: Headers, body: bytes) -> UpstreamError:
        """What the provider refused, for the client's shape to tell."""
        return self.provider.parse_error(status, headers, body)

    def stream(self, secrets: Sequence[bytes] = ()) -> StreamTranslator:
        """A translator for one stream; no failure that it tells of repeats these secrets."""
        return StreamTranslator(self, secrets)


def begin(
    client: ClientCodec,
    provider: ProviderCodec,
    request: ChatRequest,
    answering: Answering,
    *,
    strict: bool,
    dropped: tuple[str, ...] = (),
) -> Translation:
    """The request in the provider's format; `dropped` was left out before. UnsupportedParameter for what has no way."""
    asked = provider.render_request(request, strict=strict)
    if dropped:
        asked = replace(asked, dropped=(*dropped, *asked.dropped))
    return Translation(client=client, provider=provider, request=request, answering=answering, asked=asked)


class StreamTranslator:
    """A provider's stream to the client's, in any pieces. Never raises: a stream has no other way to tell of a failure.

    `thoughts` gathers what the model thought and which tools it called: what may have to be given back to it.
    """

    def __init__(self, translation: Translation, secrets: Sequence[bytes] = ()) -> None:
        self._secrets = secrets
        self._decoder = translation.provider.stream_decoder()
        self._encoder: StreamEncoder = translation.client.stream_encoder(translation.answering)
        self.usage: Usage | None = None
        self.failure: GatewayError | None = None
        self.thoughts = Collector() if translation.request.tools else None

    def feed(self, data: bytes) -> bytes:
        """What these bytes say in the client's format, maybe nothing."""
        if self.failure is not None:
            return b""
        try:
            return self._encode(self._decoder.feed(data))
        except Exception as error:
            return self._break_off(error)

    def close(self) -> bytes:
        """The provider's body is over, in the way its framing promises: the last words, or the failure that it was."""
        if self.failure is not None:
            return b""
        try:
            last = self._encode(self._decoder.close())
            return last if self.failure is not None else last + self._encoder.close()
        except Exception as error:
            return self._break_off(error)

    def cut(self, error: GatewayError) -> bytes:
        """The provider broke off: the client is told in its own protocol, and never that the answer is complete."""
        return b"" if self.failure is not None else self._fail(error)

    def _encode(self, events: Iterable[Event]) -> bytes:
        pieces = []
        encode = self._encoder.encode
        for event in events:
            if type(event) is TextDelta:  # nearly all that a stream holds
                pieces.append(encode(event))
                continue
            if isinstance(event, UsageTold):
                self.usage = event.usage
            elif isinstance(event, Failed):
                self.failure = hide(self._secrets, event.error)
            elif self.thoughts is not None and not isinstance(event, ArgumentsDelta):
                self.thoughts.take(event)
            pieces.append(encode(event))
            if self.failure is not None:
                break
        return b"".join(pieces)

    def _break_off(self, error: Exception) -> bytes:
        _log(error)
        return self._fail(InternalError("The gateway failed while it translated this answer."))

    def _fail(self, error: GatewayError) -> bytes:
        self.failure = error
        try:
            return self._encoder.encode(Failed(error))
        except Exception as broken:
            _log(broken)
            return b""


def _log(error: Exception) -> None:
    """Where it happened; not its text, which may repeat what was said."""
    logger.error(
        "A stream could not be translated",
        extra={"error": type(error).__name__},
        exc_info=(RuntimeError, RuntimeError(type(error).__name__), error.__traceback__),
    )
