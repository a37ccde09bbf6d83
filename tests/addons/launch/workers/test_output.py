from __future__ import annotations

import os
import select

from addons.launch.workers.output import WholeLines, _pieces


def test_lines_of_several_processes_are_not_torn() -> None:
    """Batches longer than what is written at once, into a pipe that is full most of the time."""
    reading, writing = os.pipe()

    writers = []
    for letter in "abc":
        writers.append(os.fork())
        if writers[-1] == 0:
            stream = WholeLines(writing)
            for _ in range(40):
                stream.write(f"{letter * 700}\n" * 20)
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as read:
        lines = read.read().splitlines()
    for one in writers:
        os.waitpid(one, 0)
    assert len(lines) == 3 * 40 * 20
    assert set(lines) == {letter * 700 for letter in "abc"}


def test_pieces_end_where_lines_do_and_lose_nothing() -> None:
    text = b"".join(b"%d" % number * 300 + b"\n" for number in range(100))
    pieces = list(_pieces(text))
    assert b"".join(pieces) == text
    assert all(piece.endswith(b"\n") and len(piece) <= select.PIPE_BUF for piece in pieces)
    long = b"x" * 3 * select.PIPE_BUF + b"\n"
    assert list(_pieces(b"a\n" + long + b"b\n")) == [b"a\n", long, b"b\n"]


def test_it_takes_what_no_encoding_has() -> None:
    reading, writing = os.pipe()
    stream = WholeLines(writing)
    assert stream.write("é\udcff\n") == 3
    stream.flush()
    assert os.read(reading, 100) == b"\xc3\xa9\\udcff\n"
    assert stream.isatty() is False
    os.close(reading)
    os.close(writing)
