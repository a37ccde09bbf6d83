"""What the emulators received, byte for byte, and what became of each answer."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from llmauth.demo.http1 import Field, Request


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """One request as it arrived. Times are `time.monotonic()`; `None` where it did not happen (yet).

    `host` is the name in the Host header, `sni` the name in the TLS hello (`None` without TLS or without a name).
    `headers` keep order, case and repetition; `head` is the head's bytes; `body` is decoded from its framing.
    `sent_headers` and `sent_body` are the answer, as far as it was written; the body before any transfer coding.
    `status` and what was sent are recorded before they are written, so that who has read an answer finds it here;
    `answered_at` comes a moment after the last byte, since a slow reader may still hold it up.
    """

    connection: int
    sni: str | None
    host: str
    method: bytes
    target: bytes
    headers: tuple[Field, ...]
    head: bytes
    body: bytes
    chunked: bool
    trailers: tuple[Field, ...]
    received_at: float
    status: int | None
    first_byte_at: float | None
    answered_at: float | None
    client_gone_at: float | None
    sent_headers: tuple[Field, ...]
    sent_body: bytes

    @property
    def client_gone(self) -> bool:
        """Whether the peer left before the answer was complete."""
        return self.client_gone_at is not None

    def values(self, name: str) -> list[bytes]:
        """All values of a header."""
        wanted = name.lower().encode()
        return [value for field, value in self.headers if field.lower() == wanted]


@dataclass(frozen=True, slots=True, kw_only=True)
class Connected:
    """One TCP connection; `fault` tells why no request could be read from it (TLS failure, malformed HTTP)."""

    connection: int
    sni: str | None
    opened_at: float
    closed_at: float | None
    fault: str | None


class Entry:
    """A request's record while it is being written; the server's thread is its only writer."""

    __slots__ = (
        "_recorder",
        "_request",
        "answered_at",
        "client_gone_at",
        "connection",
        "first_byte_at",
        "host",
        "received_at",
        "sent_fields",
        "sent_pieces",
        "sni",
        "status",
    )

    def __init__(self, recorder: Recorder, request: Request, connection: int, sni: str | None, host: str) -> None:
        self._recorder = recorder
        self._request = request
        self.connection = connection
        self.sni = sni
        self.host = host
        self.received_at = time.monotonic()
        self.status: int | None = None
        self.first_byte_at: float | None = None
        self.answered_at: float | None = None
        self.client_gone_at: float | None = None
        self.sent_fields: list[Field] = []
        self.sent_pieces: list[bytes] = []

    def begun(self, status: int, fields: list[Field]) -> None:
        """The final head is written."""
        self.status = status
        self.sent_fields = fields
        self.first_byte_at = time.monotonic()
        self._recorder.changed()

    def answered(self) -> None:
        """The last byte is written."""
        self.answered_at = time.monotonic()
        self._recorder.changed()

    def gone(self) -> None:
        """The peer left; counts only while the answer is not complete."""
        if self.answered_at is None and self.client_gone_at is None:
            self.client_gone_at = time.monotonic()
            self._recorder.changed()

    def freeze(self) -> Recorded:
        """The record as it stands."""
        head = self._request.head
        return Recorded(
            connection=self.connection,
            sni=self.sni,
            host=self.host,
            method=head.method,
            target=head.target,
            headers=head.fields,
            head=head.raw,
            body=self._request.body,
            chunked=head.chunked,
            trailers=self._request.trailers,
            received_at=self.received_at,
            status=self.status,
            first_byte_at=self.first_byte_at,
            answered_at=self.answered_at,
            client_gone_at=self.client_gone_at,
            sent_headers=tuple(self.sent_fields),
            sent_body=b"".join(self.sent_pieces),
        )


@dataclass(slots=True)
class Link:
    """A connection's record while it is open."""

    connection: int
    opened_at: float
    sni: str | None = None
    closed_at: float | None = None
    fault: str | None = None

    def freeze(self) -> Connected:
        """The record as it stands."""
        return Connected(
            connection=self.connection,
            sni=self.sni,
            opened_at=self.opened_at,
            closed_at=self.closed_at,
            fault=self.fault,
        )


class Recorder:
    """The last `keep` requests and connections. The server's thread writes, any thread reads and waits."""

    def __init__(self, keep: int) -> None:
        self._condition = threading.Condition()
        self._entries: deque[Entry] = deque(maxlen=keep)
        self._links: deque[Link] = deque(maxlen=keep)
        self._serial = 0
        self._waiting = 0

    def connected(self) -> Link:
        """A connection was accepted."""
        with self._condition:
            self._serial += 1
            link = Link(self._serial, time.monotonic())
            self._links.append(link)
        self.changed()
        return link

    def received(self, request: Request, link: Link, host: str) -> Entry:
        """A whole request (or its head alone, when it is answered early) is in."""
        entry = Entry(self, request, link.connection, link.sni, host)
        with self._condition:
            self._entries.append(entry)
        self.changed()
        return entry

    def changed(self) -> None:
        """Wake who waits; nobody waits on the hot path."""
        if self._waiting:
            with self._condition:
                self._condition.notify_all()

    def clear(self) -> None:
        """Forget everything; a connection that is open now is not listed again, its further requests are."""
        with self._condition:
            self._entries.clear()
            self._links.clear()

    def requests(self, host: str | None = None) -> tuple[Recorded, ...]:
        """What arrived, oldest first."""
        with self._condition:
            entries = list(self._entries)
        return tuple(entry.freeze() for entry in entries if host is None or entry.host == host)

    def connections(self) -> tuple[Connected, ...]:
        """Who connected, oldest first."""
        with self._condition:
            return tuple(link.freeze() for link in self._links)

    def wait(self, condition: Callable[[], bool], timeout: float) -> bool:
        """Whether `condition` came true within `timeout` seconds; it is asked again after each change."""
        with self._condition:
            self._waiting += 1
            try:
                return self._condition.wait_for(condition, timeout)
            finally:
                self._waiting -= 1
