"""Frames against h2's own client, which is another implementation of the same rules."""

from __future__ import annotations

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import ConnectionTerminated, DataReceived, Event, RequestReceived, StreamEnded, StreamReset
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes
from hyperframe.frame import ContinuationFrame, DataFrame, HeadersFrame, RstStreamFrame, SettingsFrame

from addons.wire.frames import STREAMS, BoundedFrames

HEAD = [(":method", "POST"), (":scheme", "https"), (":authority", "x"), (":path", "/")]
OK = [(b":status", b"200")]


class Pair:
    """A client and our side; what one says, the other reads."""

    def __init__(self, window: int | None = None) -> None:
        self.client = H2Connection(H2Configuration(client_side=True))
        if window is not None:
            self.client.local_settings = type(self.client.local_settings)(
                client=True, initial_values={SettingCodes.INITIAL_WINDOW_SIZE: window}
            )
        self.ours = BoundedFrames()
        self.client.initiate_connection()
        self.ours.initiate_connection()
        self.turn()

    def turn(self) -> tuple[list[Event], list[Event]]:
        """What ours, and then the client, make of what is said."""
        ours = self.ours.receive_data(self.client.data_to_send())
        theirs = self.client.receive_data(self.ours.data_to_send())
        return ours, theirs

    def ask(self, *, end: bool = True) -> int:
        stream = self.client.get_next_available_stream_id()
        self.client.send_headers(stream, HEAD, end_stream=end)
        self.turn()
        return stream


def data_of(happened: list[Event]) -> bytes:
    return b"".join(event.data or b"" for event in happened if isinstance(event, DataReceived))


def test_what_is_said_arrives_and_ends() -> None:
    pair = Pair()
    stream = pair.ask()
    pair.ours.send_headers(stream, OK)
    pair.ours.say(stream, b"hello ")
    pair.ours.say(stream, b"world", last=True)
    _, theirs = pair.turn()
    assert data_of(theirs) == b"hello world"
    assert any(isinstance(event, StreamEnded) for event in theirs)
    assert pair.ours.unsent() == 0


def test_what_has_no_window_waits_for_it() -> None:
    pair = Pair(window=10)
    stream = pair.ask()
    pair.ours.send_headers(stream, OK)
    pair.ours.say(stream, b"x" * 25, last=True)
    assert data_of(pair.turn()[1]) == b"x" * 10
    assert pair.ours.held_back(stream) == 15
    pair.client.increment_flow_control_window(12, stream)
    _, theirs = pair.turn()
    assert data_of(theirs) == b"x" * 12
    assert not any(isinstance(event, StreamEnded) for event in theirs)
    pair.client.increment_flow_control_window(12, stream)
    _, theirs = pair.turn()
    assert data_of(theirs) == b"x" * 3
    assert any(isinstance(event, StreamEnded) for event in theirs)
    assert pair.ours.held_back(stream) == pair.ours.unsent() == 0


def test_what_waits_for_a_window_goes_with_its_stream() -> None:
    """B4: a client that asks, grants nothing and takes it back would else fill the memory, request by request."""
    pair = Pair(window=0)
    stream = pair.ask()
    pair.ours.send_headers(stream, OK)
    pair.ours.say(stream, b"x" * 1000)
    pair.client.reset_stream(stream, ErrorCodes.CANCEL)
    pair.turn()
    assert pair.ours.unsent() == 0
    assert pair.ours.held_back(stream) == 0


def test_the_window_of_the_connection_goes_round() -> None:
    pair = Pair(window=100_000)
    streams = [pair.ask() for _ in range(3)]
    got = dict.fromkeys(streams, 0)
    for stream in streams:
        pair.ours.send_headers(stream, OK)
        pair.ours.say(stream, b"x" * 90_000, last=True)
    for _ in range(10):
        _, theirs = pair.turn()
        for event in theirs:
            if isinstance(event, DataReceived) and event.stream_id is not None:
                got[event.stream_id] += len(event.data or b"")
        pair.client.increment_flow_control_window(40_000)
    assert got == dict.fromkeys(streams, 90_000)


def test_an_answer_before_the_end_of_its_request_calls_off_the_rest() -> None:
    pair = Pair()
    stream = pair.ask(end=False)
    pair.ours.send_headers(stream, OK)
    pair.ours.say(stream, b"no", last=True)
    _, theirs = pair.turn()
    (reset,) = [event for event in theirs if isinstance(event, StreamReset)]
    assert reset.error_code == ErrorCodes.NO_ERROR
    # What was on its way is no fault, and is not answered by a second reset.
    frame = DataFrame(stream, b"x" * 1000)
    assert pair.ours.receive_data(frame.serialize()) == []
    assert pair.ours.data_to_send() == b""


def test_a_goaway_ends_nothing_that_is_open() -> None:
    pair = Pair()
    stream = pair.ask()
    pair.client.close_connection()
    assert pair.ours.receive_data(pair.client.data_to_send()) == []
    assert pair.ours.leaving
    assert not pair.ours.has_ended
    assert pair.ours.is_open(stream)
    pair.ours.send_headers(stream, OK)
    pair.ours.say(stream, b"still", last=True)
    assert b"still" in pair.ours.data_to_send()


def test_our_goaway_is_no_end_either() -> None:
    pair = Pair()
    stream = pair.ask()
    pair.ours.go_away()
    pair.ours.send_headers(stream, OK)
    pair.ours.say(stream, b"still", last=True)
    said = pair.ours.data_to_send()
    assert said.startswith(b"\x00\x00\x08\x07\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00")
    assert b"still" in said


def test_one_stream_too_many_is_refused_and_the_tables_stay_the_same() -> None:
    pair = Pair()
    streams = [pair.ask(end=False) for _ in range(STREAMS)]
    head = HeadersFrame(streams[-1] + 2, pair.client.encoder.encode([*HEAD, ("x-new", "in the table")]))
    head.flags.add("END_HEADERS")
    assert pair.ours.receive_data(head.serialize()) == []
    refused = RstStreamFrame(streams[-1] + 2)
    refused.error_code = ErrorCodes.REFUSED_STREAM
    assert pair.ours.data_to_send() == refused.serialize()
    pair.client.reset_stream(streams[0])
    pair.turn()
    again = HeadersFrame(streams[-1] + 4, pair.client.encoder.encode([*HEAD, ("x-new", "in the table")]))
    again.flags.add("END_HEADERS")
    (received,) = [e for e in pair.ours.receive_data(again.serialize()) if isinstance(e, RequestReceived)]
    assert (b"x-new", b"in the table") in received.headers


def test_a_body_of_another_length_is_for_the_layer_to_judge() -> None:
    pair = Pair()
    stream = pair.client.get_next_available_stream_id()
    pair.client.send_headers(stream, [*HEAD, ("content-length", "3")])
    pair.client.send_data(stream, b"hello", end_stream=True)
    ours, _ = pair.turn()
    assert data_of(ours) == b"hello"


def test_the_table_of_our_heads_stays_small() -> None:
    pair = Pair()
    frame = SettingsFrame(0, settings={SettingsFrame.HEADER_TABLE_SIZE: 2**31})
    pair.ours.receive_data(frame.serialize())
    assert pair.ours.encoder.header_table_size == 4096


@pytest.mark.parametrize("empty", [True, False])
def test_parts_of_a_head_are_limited(empty: bool) -> None:
    pair = Pair()
    part = b"" if empty else b"\x00\x01a\x01b"
    parts = [HeadersFrame(1, b"\x00\x01a\x01b"), *([ContinuationFrame(1, part)] * 40)]
    with pytest.raises(ProtocolError) as caught:
        pair.ours.receive_data(b"".join(part.serialize() for part in parts))
    assert caught.value.error_code == ErrorCodes.ENHANCE_YOUR_CALM
    assert pair.ours.has_ended
    assert any(isinstance(e, ConnectionTerminated) for e in pair.client.receive_data(pair.ours.data_to_send()))
