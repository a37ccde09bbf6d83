"""Writes what attackers send: one connection's bytes, drawn from a grammar of HTTP/1.1 and then damaged."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

_METHODS = (
    b"GET",
    b"POST",
    b"PUT",
    b"PATCH",
    b"DELETE",
    b"HEAD",
    b"OPTIONS",
    b"TRACE",
    b"get",
    b"P\xc3\x96ST",
    b"QUERY",
)
_BLANKS = (b"  ", b"\t", b"", b"\x0b", b"\r", b"\x00", b"\xa0")
_VERSIONS = (b"HTTP/1.0", b"HTTP/1.2", b"HTTP/2.0", b"HTTP/11", b"http/1.1", b"HTTP/1.1 ", b"", b"HTTP/0.9")
_LINE_ENDS = (b"\n", b"\r", b"\r\r\n", b"\n\r", b"\r\n\r\n", b"\x85", b"\x0c\r\n", b"\r\n ")
_LENGTHS = (
    b"0",
    b"-1",
    b"+5",
    b"0x10",
    b"5, 5",
    b"5,6",
    b" 5",
    b"5 ",
    b"05",
    b"5\x0b",
    b"1e1",
    b"99999999999999999999",
    b"",
)
_CODINGS = (
    b"chunked", b"Chunked", b"chunked, identity", b"identity", b"gzip, chunked", b"chunked\x0b", b"xchunked",
    b"chunked;q=1", b" chunked", b"\tchunked", b"chunked,", b"", b"cow",
)  # fmt: skip
_NAMES = (
    b"X-A", b"Cookie", b"Accept", b"Connection", b"Content_Length", b"Transfer_Encoding", b"Content-Length ", b"Host ",
    b" Content-Length", b"X A", b"", b"X\x00B", b"X-\xff", b"Transfer-Encoding\t", b"Trailer", b"Upgrade", b"TE",
    b"Expect", b"Proxy-Connection", b"Keep-Alive", b"X-Forwarded-Host", b"X-Original-URL", b"X-HTTP-Method-Override",
)  # fmt: skip
_VALUES = (
    b"1", b"close", b"keep-alive", b"100-continue", b"websocket", b"h2c", b"a\rb", b"a\nb", b"a\x00b", b"a\r\n b",
    b"\xff\xfe", b"content-length", b"authorization, host, x-api-key", b"transfer-encoding", b"a" * 9000, b"trailers",
)  # fmt: skip
_TARGETS = (
    b"/transparent/openai/../openai/v1/echo/", b"//transparent/openai/v1/echo/", b"/transparent/openai%2fv1/echo/",
    b"http://api.openai.com/v1/echo/", b"https://api.openai.com/v1/echo/", b"*", b"/v1/echo/", b"/transparent//openai/",
    b"/transparent/openai\\v1/echo/", b"/transparent/openai/v1/echo/%0d%0aX:1/", b"/transparent/openai/v1/echo/#",
    b"/transparent/openai/v1/echo/\xc3\xa4", b"http://gateway/transparent/openai/v1/echo/", b"/transparent/OPENAI/",
)  # fmt: skip
_CHUNK_LINES = (
    b"0x5\r\n", b"5;ext=1\r\n", b"5 \r\n", b"5\n", b"-5\r\n", b"+5\r\n", b"5\r\r\n", b"5;\x00\r\n", b"G\r\n", b"\r\n",
    b"5_0\r\n", b"FFFFFFFFFFFFFFFFF\r\n", b"00000000000000005\r\n", b"5;a=\"\r\n\"\r\n",
)  # fmt: skip
_INSERTED = (b"\r", b"\n", b"\0", b" ", b"\t", b":", b"\r\n", b"\r\n\r\n", b"0\r\n\r\n")


class Hostile:
    """Connections for one key and door; `number` names a case, and everything about it follows from that number.

    `base` stands before the provider's path, and `host` in Host.
    """

    def __init__(self, key: str, base: bytes, host: bytes) -> None:
        self._key, self._base, self._host = key.encode(), base, host

    def connection(self, number: int) -> bytes:
        """One to three requests, whole or damaged."""
        draw = random.Random(number)
        data = b"".join(
            self._request(draw, b"%d-%d" % (number, place)) for place in range(draw.choice((1, 1, 1, 2, 3)))
        )
        return _damaged(draw, data) if draw.random() < 0.35 else data

    def _request(self, draw: random.Random, name: bytes) -> bytes:
        odd = draw.random() < 0.75
        body, framing = self._body(draw, name, odd=odd)
        method = draw.choice(_METHODS) if odd and draw.random() < 0.3 else draw.choice(_METHODS[:2])
        target = _odd(draw, odd, 0.2, _TARGETS, self._base + b"/v1/echo/") + name
        blank, version = _odd(draw, odd, 0.05, _BLANKS, b" "), _odd(draw, odd, 0.1, _VERSIONS, b"HTTP/1.1")
        fields = [(b"Host", self._host), (b"X-API-Key", self._key), *framing]
        if odd:
            self._disturb(draw, fields)
        lines = [method + blank + target + b" " + version]
        lines += [name + _odd(draw, odd, 0.03, (b" : ", b"", b"\t:", b":\t"), b": ") + value for name, value in fields]
        end = _odd(draw, odd, 0.05, _LINE_ENDS, b"\r\n")
        return b"".join(line + (end if draw.random() < 0.3 else b"\r\n") for line in lines) + b"\r\n" + body

    def _disturb(self, draw: random.Random, fields: list[tuple[bytes, bytes]]) -> None:
        ways: Sequence[Callable[[], object]] = (
            lambda: fields.append((b"Content-Length", draw.choice(_LENGTHS))),
            lambda: fields.append((b"Transfer-Encoding", draw.choice(_CODINGS))),
            lambda: fields.append((draw.choice(_NAMES), draw.choice(_VALUES))),
            lambda: fields.append(
                (b"Host", draw.choice((b"api.openai.com", b"evil", b"", b"gateway", b"a b", b"x:0")))
            ),
            lambda: fields.append(
                (b"Authorization", b"Bearer " + draw.choice((self._key, b"sk-x", b"", self._key[:-1])))
            ),
            lambda: fields.pop(draw.randrange(len(fields))) if fields else None,
            lambda: draw.shuffle(fields),
            lambda: fields.extend((b"X-%d" % n, b"y") for n in range(draw.choice((5, 150, 250)))),
        )
        for _ in range(draw.choice((0, 1, 1, 2, 3))):
            draw.choice(ways)()

    def _body(self, draw: random.Random, name: bytes, *, odd: bool) -> tuple[bytes, list[tuple[bytes, bytes]]]:
        inner = b"POST %s/v1/echo/smuggled-%s HTTP/1.1\r\nHost: %s\r\nX-API-Key: %s\r\n\r\n"
        hidden = inner % (self._base, name, self._host, self._key)
        body = draw.choice((b"", b"hello", b"0\r\n\r\n" + hidden, hidden, draw.randbytes(draw.choice((1, 100, 5000)))))
        match draw.randrange(5):
            case 0:
                return body, []
            case 1 | 2:
                told = len(body) + (draw.choice((-1, 1, 7, 1000)) if odd and draw.random() < 0.3 else 0)
                return body, [(b"Content-Length", b"%d" % max(told, 0))]
            case _:
                return _chunked(draw, body, odd=odd), [(b"Transfer-Encoding", b"chunked")]


def _odd(draw: random.Random, odd: bool, share: float, choices: Sequence[bytes], usual: bytes) -> bytes:
    return draw.choice(choices) if odd and draw.random() < share else usual


def _chunked(draw: random.Random, body: bytes, *, odd: bool) -> bytes:
    pieces = [body[:7], body[7:]] if len(body) > 7 else [body]
    lines = []
    for piece in filter(None, pieces):
        line = _odd(draw, odd, 0.1, _CHUNK_LINES, b"%x\r\n" % len(piece))
        lines.append(line + piece + _odd(draw, odd, 0.05, (b"", b"\n", b"XX", b"\r"), b"\r\n"))
    end = _odd(draw, odd, 0.1, (b"0\r\nX-API-Key: late\r\n\r\n", b"0\n\n", b"0\r\n", b"", b"00\r\n\r\n"), b"0\r\n\r\n")
    return b"".join(lines) + end


def _damaged(draw: random.Random, data: bytes) -> bytes:
    bytes_ = bytearray(data)
    for _ in range(draw.choice((1, 1, 2, 5))):
        place = draw.randrange(len(bytes_) + 1)
        match draw.randrange(4):
            case 0:
                bytes_[place:place] = draw.choice(
                    (b"\r", b"\n", b"\0", b" ", b"\t", b":", b"\r\n", b"\r\n\r\n", b"0\r\n\r\n")
                )
            case 1:
                del bytes_[place : place + draw.choice((1, 2, 30))]
            case 2:
                bytes_[place : place + 1] = bytes([draw.randrange(256)])
            case _:
                start = draw.randrange(len(bytes_) + 1)
                bytes_[place:place] = bytes_[start : start + draw.choice((4, 40, 400))]
    return bytes(bytes_)
