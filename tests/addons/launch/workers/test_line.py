from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator

import pytest

from addons.launch.workers.line import Line, ToParent


@pytest.fixture
def ends() -> Iterator[tuple[Line, socket.socket]]:
    ours, theirs = socket.socketpair()
    line = Line(ours)
    yield line, theirs
    line.close()
    theirs.close()


def test_messages_arrive_whole_in_whatever_pieces_they_come(ends: tuple[Line, socket.socket]) -> None:
    line, theirs = ends
    assert line.heard() == ([], True)
    theirs.sendall(b'{"say": "rea')
    assert line.heard() == ([], True)
    theirs.sendall(b'dy"}\n{"say": "sum"}\n{')
    assert line.heard() == ([{"say": "ready"}, {"say": "sum"}], True)
    theirs.close()
    assert line.heard() == ([], False)


def test_last_words_are_heard_with_the_end(ends: tuple[Line, socket.socket]) -> None:
    line, theirs = ends
    theirs.sendall(b'{"say": "counts"}\n')
    theirs.close()
    assert line.heard() == ([{"say": "counts"}], False)


def test_what_is_no_message_ends_the_line_and_nothing_else(ends: tuple[Line, socket.socket]) -> None:
    line, theirs = ends
    theirs.sendall(b"garbage\n")
    assert line.heard() == ([], False)


def test_nobody_waits_for_one_that_does_not_listen(ends: tuple[Line, socket.socket]) -> None:
    line, theirs = ends
    text = "x" * 3_000_000
    line.say(say="sum", text=text)
    assert line.is_behind
    got = b""
    while not got.endswith(b"\n"):
        got += theirs.recv(1 << 20)
        line.go_on()
    assert len(got) > len(text)
    assert not line.is_behind


def test_what_is_said_to_one_that_is_gone_is_dropped(ends: tuple[Line, socket.socket]) -> None:
    line, theirs = ends
    theirs.close()
    line.say(say="drain")
    assert not line.is_behind


async def test_both_ends_understand_each_other() -> None:
    ours, theirs = socket.socketpair()
    line, parent = Line(ours), ToParent(theirs)
    await parent.open()
    line.say(say="drain")
    assert await parent.next() == {"say": "drain"}
    parent.say(say="counts", metrics=["x" * 1_000_000])
    said = asyncio.create_task(parent.said(5.0))
    heard: list[object] = []
    while not heard:
        await asyncio.sleep(0.001)
        heard, _ = line.heard()  # type: ignore[assignment]
    await said
    assert heard == [{"say": "counts", "metrics": ["x" * 1_000_000]}]
    line.close()
    assert await parent.next() is None
    parent.say(say="ready")
    await parent.said(0.1)


async def test_a_parent_that_does_not_listen_is_not_waited_for_without_end() -> None:
    ours, theirs = socket.socketpair()
    parent = ToParent(theirs)
    await parent.open()
    parent.say(say="counts", metrics="x" * 5_000_000)
    await asyncio.wait_for(parent.said(0.05), 1)
    assert parent._writer is not None
    parent._writer.transport.abort()
    ours.close()
