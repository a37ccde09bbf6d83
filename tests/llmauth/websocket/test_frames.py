"""The edges of frames are found however the bytes come, and our own frames are what a strict reader takes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmauth.demo.websocket import Frames
from llmauth.websocket.frames import Code, Edges, close, ping
from tests.fixtures.sockets import BINARY, CLOSE, PING, TEXT, frame

SIZES = (0, 1, 125, 126, 127, 65535, 65536)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("step", [1, 2, 3, 7, 1 << 20])
def test_an_edge_is_where_the_frame_ends(size, step):
    data, edges = frame(BINARY, bytes(size)), Edges()
    for start in range(0, len(data), step if size < 1000 else max(step, 1000)):
        piece = data[start : start + (step if size < 1000 else max(step, 1000))]
        assert edges.follow(piece) == len(piece)
        assert edges.at_edge is (start + len(piece) == len(data))
    assert not edges.closed


@given(st.lists(st.tuples(st.sampled_from([TEXT, BINARY, PING]), st.integers(0, 300)), max_size=8), st.integers(1, 50))
def test_frames_in_any_pieces_end_at_an_edge(frames, step):
    data, edges = b"".join(frame(opcode, bytes(min(size, 125))) for opcode, size in frames), Edges()
    for start in range(0, len(data), step):
        edges.follow(data[start : start + step])
    assert edges.at_edge
    assert not edges.closed


def test_no_more_is_taken_than_the_frame_that_is_under_way():
    data, edges = frame(BINARY, bytes(200)) + frame(TEXT, b"next"), Edges()
    edges.follow(data[:50])
    taken = edges.follow(data[50:], to_edge=True)
    assert 50 + taken == len(frame(BINARY, bytes(200)))
    assert edges.follow(b"more", to_edge=True) == 0


def test_a_goodbye_is_noticed_and_its_payload_is_not_taken_for_one():
    edges = Edges()
    edges.follow(frame(BINARY, frame(CLOSE, b"")))
    assert not edges.closed
    edges.follow(frame(CLOSE, b"")[:1])
    assert not edges.closed
    edges.follow(frame(CLOSE, b"")[1:])
    assert edges.closed


def test_a_length_beyond_all_bounds_is_a_frame_that_does_not_end():
    edges = Edges()
    edges.follow(b"\x82\x7f" + b"\xff" * 8 + bytes(1000))
    assert not edges.at_edge


def test_our_frames_are_good_ones():
    (said, asked) = Frames().feed(close(Code.POLICY_VIOLATION, "why", masked=True) + ping(masked=True))
    assert (said.opcode, said.payload) == (CLOSE, (1008).to_bytes(2) + b"why")
    assert (asked.opcode, asked.payload) == (PING, b"")
    assert close(Code.GOING_AWAY, "x", masked=False) == b"\x88\x03\x03\xe9x"
    assert ping(masked=False) == b"\x89\x00"


def test_a_reason_is_cut_to_what_a_control_frame_holds():
    assert len(close(Code.GOING_AWAY, "x" * 500, masked=False)) == 2 + 125
