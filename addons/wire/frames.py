"""HTTP/2 frames of one client: counted as they come, and held back within bounds while the client takes none."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from h2.config import H2Configuration
from h2.connection import AllowedStreamIDs, ConnectionState, H2Connection, _decode_headers
from h2.errors import ErrorCodes
from h2.events import Event, RemoteSettingsChanged, StreamReset, WindowUpdated
from h2.exceptions import DenialOfServiceError, StreamClosedError
from h2.frame_buffer import FrameBuffer
from h2.settings import SettingCodes
from h2.stream import H2Stream, StreamClosedBy, StreamState
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    PriorityFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

from addons.wire.floods import Floods, Kind

# Requests at work at once on one connection; one more is told to come back.
STREAMS = 100
# What a client may send ahead of our reading: of one body, and of all together.
_STREAM_WINDOW = 1024 * 1024
_CONNECTION_WINDOW = 8 * 1024 * 1024
_FRAME = 16 * 1024
# A head of twice the limit is read, and refused for its size; what unpacks to more (an HPACK bomb) ends the connection.
_HEAD_LIMIT = 64 * 1024
_CONTINUATIONS = 32
# "SETTINGS_HEADER_TABLE_SIZE": what a client allows us to remember of our answers' heads. We need no more.
_HEADER_TABLE = 4096
_SMALL = 128

_COUNTED: dict[type[Frame], Kind] = {
    RstStreamFrame: Kind.RESET,
    SettingsFrame: Kind.SETTINGS,
    PingFrame: Kind.PING,
    PriorityFrame: Kind.PRIORITY,
    WindowUpdateFrame: Kind.WINDOW,
}
_UNCOUNTED = (HeadersFrame, ContinuationFrame)


@dataclass(slots=True)
class Unsent:
    """What a client has granted no window for yet; `last` tells that the answer ends with it."""

    pieces: deque[bytes] = field(default_factory=deque)
    size: int = 0
    last: bool = False

    def add(self, data: bytes) -> None:
        """These bytes, behind the others."""
        if data:
            self.pieces.append(data)
            self.size += len(data)

    def take(self, most: int) -> bytes:
        """The first bytes, up to so many."""
        piece = self.pieces.popleft()
        if len(piece) > most:
            self.pieces.appendleft(piece[most:])
            piece = piece[:most]
        self.size -= len(piece)
        return piece


class _Heads(FrameBuffer):
    """Puts a head together from its frames, of which h2 takes a megabyte (CVE-2024-27316)."""

    def __init__(self, largest: int) -> None:
        super().__init__(server=True)
        self._largest = largest

    def _update_header_buffer(self, f: Frame | None) -> Frame | None:
        if isinstance(f, ContinuationFrame) and not f.data and "END_HEADERS" not in f.flags:
            raise DenialOfServiceError("an empty CONTINUATION")
        whole = super()._update_header_buffer(f)
        parts = self._headers_buffer
        if len(parts) > _CONTINUATIONS or sum(len(part.data) for part in parts) > self._largest:
            raise DenialOfServiceError("a head without end")
        return whole


class BoundedFrames(H2Connection):
    """h2's connection, server side, with counts, with bounds, and with no end while answers are still to be sent."""

    # How streams ended is remembered for frames that were on their way; h2 remembers 65536 of them.
    MAX_CLOSED_STREAMS = 2048

    def __init__(self, floods: Floods | None = None, *, head_limit: int = _HEAD_LIMIT) -> None:
        # Heads are judged by ours (`heads.py`), which ends a stream where h2 would end the connection.
        super().__init__(
            H2Configuration(
                client_side=False,
                header_encoding=False,
                validate_inbound_headers=False,
                normalize_inbound_headers=False,
                validate_outbound_headers=False,
                normalize_outbound_headers=False,
            )
        )
        self.floods = floods or Floods()
        self.leaving = False
        self._unsent: dict[int, Unsent] = {}
        self.incoming_buffer = _Heads(2 * head_limit)
        self.decoder.max_header_list_size = 2 * head_limit
        self._set(
            {
                SettingCodes.INITIAL_WINDOW_SIZE: _STREAM_WINDOW,
                SettingCodes.MAX_CONCURRENT_STREAMS: STREAMS,
                SettingCodes.MAX_HEADER_LIST_SIZE: head_limit,
            }
        )
        self.max_inbound_frame_size = _FRAME
        self._receiving = False

    def _set(self, settings: dict[SettingCodes | int, int]) -> None:
        self.local_settings.update(settings)
        # In force at once: whoever has not read them yet believes in a smaller window and in no limit of streams.
        self.local_settings.acknowledge()

    def initiate_connection(self) -> None:
        super().initiate_connection()
        self.increment_flow_control_window(_CONNECTION_WINDOW - self.inbound_flow_control_window)

    # ---- sending ---------------------------------------------------------------------------------------------------

    def is_open(self, stream_id: int) -> bool:
        """Whether something can still be sent on a stream."""
        stream = self.streams.get(stream_id)
        return stream is not None and stream.state_machine.state in (StreamState.OPEN, StreamState.HALF_CLOSED_REMOTE)

    def has_begun(self, stream_id: int) -> bool:
        """Whether the head of an answer was sent."""
        return bool(self.streams[stream_id].state_machine.headers_sent)

    def say(self, stream_id: int, data: bytes = b"", *, last: bool = False) -> None:
        """Send, or hold back for as long as the client grants no window."""
        unsent = self._unsent.get(stream_id)
        if unsent is None:
            unsent = self._unsent[stream_id] = Unsent()
        unsent.add(data)
        unsent.last = unsent.last or last
        self._pump(stream_id, unsent)

    def held_back(self, stream_id: int) -> int:
        """Bytes of a stream that wait for the client, 0 for one that is over."""
        unsent = self._unsent.get(stream_id)
        return unsent.size if unsent is not None else 0

    def unsent(self) -> int:
        """Bytes of all streams that wait for the client."""
        return sum(unsent.size for unsent in self._unsent.values())

    def _pump(self, stream_id: int, unsent: Unsent) -> None:
        if not self.is_open(stream_id):
            del self._unsent[stream_id]
            return
        while unsent.size:
            room = min(self.local_flow_control_window(stream_id), self.max_outbound_frame_size)
            if room <= 0:
                return
            self.send_data(stream_id, unsent.take(room))
            self.floods.credit(Kind.WINDOW, 3)
        del self._unsent[stream_id]
        if unsent.last:
            self.end_stream(stream_id)
            self.settle(stream_id)

    def settle(self, stream_id: int) -> None:
        """After the end of an answer: the rest of a request that nobody will read is called off.

        "A server can send a complete response prior to the client sending an entire request ... the server MAY request
        that the client abort transmission of a request without error by sending a RST_STREAM with an error code of
        NO_ERROR" (RFC 9113, 8.1).
        """
        stream = self.streams.get(stream_id)
        if stream is not None and stream.state_machine.state is StreamState.HALF_CLOSED_LOCAL:
            super().reset_stream(stream_id, ErrorCodes.NO_ERROR)

    def break_off(self, stream_id: int, code: ErrorCodes) -> None:
        """End a stream so that nobody takes what was sent of it for the whole."""
        self._unsent.pop(stream_id, None)
        stream = self.streams.get(stream_id)
        if stream is not None and not stream.closed:
            super().reset_stream(stream_id, code)

    def _pump_all(self) -> None:
        for stream_id in list(self._unsent):
            # To the end of the row, so that the next window opens for another.
            unsent = self._unsent[stream_id] = self._unsent.pop(stream_id)
            self._pump(stream_id, unsent)
            if self.outbound_flow_control_window <= 0:
                return

    # ---- the end of a connection -----------------------------------------------------------------------------------

    def go_away(self, code: ErrorCodes = ErrorCodes.NO_ERROR) -> None:
        """Tell the client that this is the end, and which of its streams were looked at."""
        frame = GoAwayFrame(0)
        frame.last_stream_id = self.highest_inbound_stream_id
        frame.error_code = code
        # h2's own way would forbid to send anything after it.
        self._prepare_for_sending([frame])

    @property
    def has_ended(self) -> bool:
        """Whether h2 found the connection broken; its GOAWAY is then among what is to be sent."""
        return self.state_machine.state is ConnectionState.CLOSED

    def _receive_goaway_frame(self, frame: GoAwayFrame) -> tuple[list[Frame], list[Event]]:
        # "Receivers of a GOAWAY frame MUST NOT open additional streams on the connection" (RFC 9113, 6.8): it says
        # nothing of those that are open. h2 takes it for the end, and an answer for which the AWS SDK for JavaScript
        # waits, which sends this right after the head, would never come.
        self.leaving = True
        return [], []

    # ---- receiving -------------------------------------------------------------------------------------------------

    def receive_data(self, data: bytes) -> list[Event]:
        """As in h2, without what is dealt with here; raises h2's ProtocolError, with a GOAWAY ready to be sent."""
        self._receiving = True
        try:
            return super().receive_data(data)
        finally:
            self._receiving = False

    def _receive_frame(self, frame: Frame) -> list[Event]:
        kind = _kind(frame)
        if kind is not None:
            self.floods.count(kind)
        if isinstance(frame, SettingsFrame) and SettingCodes.HEADER_TABLE_SIZE in frame.settings:
            table = frame.settings[SettingCodes.HEADER_TABLE_SIZE]
            frame.settings[SettingCodes.HEADER_TABLE_SIZE] = min(table, _HEADER_TABLE)
        events = super()._receive_frame(frame)
        for event in events:
            if isinstance(event, StreamReset):
                # Else it would wait for a window that may never come, for as long as the connection lasts.
                self._unsent.pop(event.stream_id, None)
            self._window(event)
        return events

    def _window(self, event: Event) -> None:
        if isinstance(event, WindowUpdated) and event.stream_id:
            unsent = self._unsent.get(event.stream_id)
            if unsent is not None:
                self._pump(event.stream_id, unsent)
        elif isinstance(event, WindowUpdated | RemoteSettingsChanged):
            self._pump_all()

    def _prepare_for_sending(self, frames: list[Frame]) -> None:
        # Resets that h2 answers with while it reads: made by the client, though sent by us (CVE-2025-8671).
        if self._receiving and any(isinstance(f, RstStreamFrame) and f.error_code for f in frames):
            self.floods.count(Kind.FAULT)
        super()._prepare_for_sending(frames)

    def _receive_headers_frame(self, frame: HeadersFrame) -> tuple[list[Frame], list[Event]]:
        if frame.stream_id in self.streams or self.open_inbound_streams < STREAMS:
            return super()._receive_headers_frame(frame)
        # h2 would end the connection with all that runs on it. The head is read all the same: the tables of both sides
        # must stay the same.
        _decode_headers(self.decoder, frame.data)
        self._begin_new_stream(frame.stream_id, AllowedStreamIDs.ODD)
        del self.streams[frame.stream_id]
        self._closed_streams[frame.stream_id] = StreamClosedBy.SEND_RST_STREAM
        refused = RstStreamFrame(frame.stream_id)
        refused.error_code = ErrorCodes.REFUSED_STREAM
        return [refused], []

    def _begin_new_stream(self, stream_id: int, allowed_ids: AllowedStreamIDs) -> H2Stream:
        stream = super()._begin_new_stream(stream_id, allowed_ids)
        # A body of another length than announced ends its stream, by ours; h2 would end the connection.
        stream._initialize_content_length = _ignore  # type: ignore[method-assign]
        return stream

    def _handle_data_on_closed_stream(
        self, events: list[Event], exc: StreamClosedError, frame: DataFrame
    ) -> tuple[list[Frame], list[Event]]:
        # On its way when the stream was refused: "An endpoint that sends a RST_STREAM frame ... MUST be prepared to
        # receive frames that were in transit" (RFC 9113, 5.1). No second reset, and the window opens again.
        frames, events = super()._handle_data_on_closed_stream(events, exc, frame)
        self.floods.count(Kind.SMALL)
        if self._stream_is_closed_by_reset(exc.stream_id):
            frames = [one for one in frames if not isinstance(one, RstStreamFrame)]
        return frames, events


def _kind(frame: Frame) -> Kind | None:
    if isinstance(frame, DataFrame):
        if "END_STREAM" in frame.flags or len(frame.data) >= _SMALL:
            return None
        return Kind.SMALL if frame.data else Kind.EMPTY
    return None if isinstance(frame, _UNCOUNTED) else _COUNTED.get(type(frame), Kind.OTHER)


def _ignore(headers: Iterable[Any]) -> None:
    """In the place of h2's reading of Content-Length."""
