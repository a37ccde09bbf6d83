"""Compressed answers: every form of gzip and deflate, in any pieces, and what tries to fill the memory."""

from __future__ import annotations

import gzip
import time
import zlib

import brotli  # type: ignore[import-untyped]
import pytest
import zstandard

from llmauth.usage import codings
from llmauth.usage.bodies import Whole
from llmauth.usage.codings import Decoded
from llmauth.usage.events import Events
from llmauth.usage.formats import MESSAGES, OPENAI
from llmauth.usage.meter import Reading, Reason, Unread
from tests.llmauth.usage.answers import read, splits, tokens
from tests.llmauth.usage.test_events import CLAUDE

BODY = b'{"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":7}}'
FULL = Reading(tokens(5, 7), None)


def bare(data: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-15)
    return compressor.compress(data) + compressor.flush()


def coded_as(body: bytes) -> list[tuple[bytes, bytes]]:
    return [
        (b"gzip", gzip.compress(body, mtime=0)),
        (b"deflate", zlib.compress(body)),
        (b"br", brotli.compress(body)),
        (b"zstd", zstandard.compress(body)),
    ]


@pytest.mark.parametrize(
    ("coding", "coded"),
    [
        (b"gzip", gzip.compress(BODY, mtime=0)),
        (b"x-gzip", gzip.compress(BODY[:20], mtime=0) + gzip.compress(BODY[20:], mtime=0)),
        (b"gzip", gzip.compress(BODY, mtime=0) + b"trailing"),
        (b"deflate", zlib.compress(BODY)),
        (b"deflate", bare(BODY)),
        (b"br", brotli.compress(BODY)),
        (b"zstd", zstandard.compress(BODY)),
        (b"zstd", zstandard.compress(BODY[:20]) + zstandard.compress(BODY[20:])),
    ],
)
def test_every_form_in_any_pieces(coding: bytes, coded: bytes) -> None:
    for pieces in splits(coded):
        assert read(Decoded(Whole(OPENAI), coding), pieces) == FULL


def test_much_text_comes_out_whole() -> None:
    for size in (65_535, 65_536, 65_537, 131_072, 200_000):
        body = b'{"a":"' + b"x" * (size - len(BODY) - 6) + b'",' + BODY[1:]
        assert len(body) == size + 1
        for coding, coded in coded_as(body):
            meter = Decoded(Whole(OPENAI), coding)
            assert read(meter, [coded]) == FULL
            assert meter.reading().decoded == size + 1


def test_a_stream_that_is_flushed_event_by_event_can_be_read_at_any_time() -> None:
    compressor = zlib.compressobj(wbits=31)
    meter = Decoded(Events(MESSAGES), b"gzip")
    for place in range(0, len(CLAUDE) // 2, 100):
        meter.feed(compressor.compress(CLAUDE[place : place + 100]) + compressor.flush(zlib.Z_SYNC_FLUSH))
    assert meter.reading(cut=True) == Reading(tokens(25, 1), Reason.CUT)


@pytest.mark.parametrize("coding", [b"gzip", b"deflate"])
@pytest.mark.parametrize(
    "data", [BODY, b"\x1f\x8b\x08" + b"\xff" * 50, gzip.compress(BODY, mtime=0)[:10] + b"\xff" * 50]
)
def test_what_is_not_so_coded_is_broken(coding: bytes, data: bytes) -> None:
    for pieces in ([data], [data[i : i + 1] for i in range(len(data))]):
        assert read(Decoded(Whole(OPENAI), coding), pieces) == Reading(None, Reason.BROKEN)


class Counting(Unread):
    """Counts what it is fed."""

    def __init__(self) -> None:
        super().__init__(Reason.NOT_TOLD)
        self.fed = 0

    def feed(self, data: bytes) -> None:
        self.fed += len(data)


def test_a_bomb_costs_little(monkeypatch: pytest.MonkeyPatch) -> None:
    """What would become a hundred times what is allowed is given up early; where each piece is small, all of them."""
    compressor = zlib.compressobj(9, wbits=31)
    bomb = b"".join(compressor.compress(b" " * 1_000_000) for _ in range(100)) + compressor.flush()
    began = time.process_time()
    inner = Counting()
    assert read(Decoded(inner, b"gzip"), [bomb, bomb]) == Reading(None, Reason.TOO_LARGE)
    assert inner.fed <= codings.AT_ONCE
    assert time.process_time() - began < 0.3
    monkeypatch.setattr(codings, "MOST", 10_000_000)
    pieces = [bomb[i : i + 1024] for i in range(0, len(bomb), 1024)]
    inner = Counting()
    assert read(Decoded(inner, b"gzip"), pieces) == Reading(None, Reason.TOO_LARGE)
    assert 9_000_000 < inner.fed <= 10_000_000


@pytest.mark.parametrize("coding", [b"br", b"zstd"])
def test_h8_a_bomb_in_the_newer_codings_costs_little_too(coding: bytes) -> None:
    bomb = dict(coded_as(bytes(100_000_000)))[coding]
    assert len(bomb) < 20_000
    inner = Counting()
    assert read(Decoded(inner, coding), [bomb, bomb]) == Reading(None, Reason.TOO_LARGE)
    assert inner.fed <= codings.AT_ONCE


def test_h8_a_window_that_fills_the_memory_is_not_opened() -> None:
    parameters = zstandard.ZstdCompressionParameters(window_log=27, write_content_size=False)
    coded = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    data = coded.compress(BODY) + coded.flush()
    assert read(Decoded(Whole(OPENAI), b"zstd"), [data]) == Reading(None, Reason.BROKEN)


def test_an_answer_that_is_cut() -> None:
    coded = gzip.compress(BODY, mtime=0)
    assert read(Decoded(Whole(OPENAI), b"gzip"), [coded[:20]], cut=True) == Reading(None, Reason.CUT)
    assert read(Decoded(Whole(OPENAI), b"deflate"), [b"x"], cut=True) == Reading(None, Reason.CUT)
