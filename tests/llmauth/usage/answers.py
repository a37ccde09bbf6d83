"""Answers of the emulated providers, as bytes, and a meter that sees them pass."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from llmauth.chat.messages import Usage
from llmauth.context import ProviderType
from llmauth.demo.anthropic import Anthropic
from llmauth.demo.azure import Azure
from llmauth.demo.bedrock import BedrockRuntime
from llmauth.demo.behaviour import Behaviour
from llmauth.demo.emulator import PAUSE, Answer, Call, Emulator
from llmauth.demo.http1 import Request, parse_head
from llmauth.demo.openai import OpenAI
from llmauth.demo.oracle import OracleInference
from llmauth.demo.vertex import Vertex
from llmauth.demo.watsonx import Watsonx
from llmauth.demo.words import estimate
from llmauth.http import Headers
from llmauth.usage.meter import Meter, Reading
from llmauth.usage.metering import meter_for

SAID = 24
_SETTING: Any = SimpleNamespace(wall=lambda: 1_800_000_000.0, tokens=SAID)
EMULATORS: dict[ProviderType, Emulator] = {
    "openai": OpenAI(_SETTING),
    "azure": Azure(_SETTING, "r"),
    "anthropic": Anthropic(_SETTING),
    "bedrock": BedrockRuntime(_SETTING, "us-east-1"),
    "vertex": Vertex(_SETTING, "us-central1"),
    "ibm": Watsonx(_SETTING, SimpleNamespace(), "us-south"),  # type: ignore[arg-type]
    "oracle": OracleInference(_SETTING, "us-chicago-1"),
}


@dataclass(frozen=True)
class Passing:
    """An answer on its way: what was asked, and what comes back in the pieces in which it was written."""

    provider: ProviderType
    path: str
    asked: bytes
    status: int
    headers: Headers
    pieces: list[bytes]

    @property
    def prompt(self) -> int:
        """What the emulator counts for the question."""
        return estimate(self.asked)

    @property
    def body(self) -> bytes:
        return b"".join(self.pieces)

    def meter(self) -> Meter:
        meter = meter_for(self.provider, method="POST", path=self.path, status=self.status, headers=self.headers)
        assert meter is not None
        return meter

    def read(self, pieces: list[bytes] | None = None, *, cut: bool = False) -> Reading:
        return read(self.meter(), self.pieces if pieces is None else pieces, cut=cut)


def read(meter: Meter, pieces: list[bytes], *, cut: bool = False) -> Reading:
    """What a meter knows after it saw these."""
    for piece in pieces:
        meter.feed(piece)
    return meter.reading(cut=cut)


def ask(provider: ProviderType, path: str, body: dict[str, Any], behaviour: Behaviour | None = None) -> Passing:
    """What the emulated provider answers; its door, where credentials are looked at, is passed by."""
    asked = json.dumps(body).encode()
    fields = "Host: x\r\nContent-Type: application/json\r\nanthropic-version: 2023-06-01\r\n"
    head = parse_head(f"POST {path} HTTP/1.1\r\n{fields}\r\n".encode())
    answer = EMULATORS[provider].route(Call("x", Request(head, asked), behaviour or Behaviour(), SAID))
    return Passing(provider, path, asked, answer.status, Headers(answer.fields), _pieces(answer))


def _pieces(answer: Answer) -> list[bytes]:
    if isinstance(answer.body, bytes):
        return [answer.body]
    return [piece for piece in answer.body if piece != PAUSE]


def splits(data: bytes) -> Iterator[list[bytes]]:
    """The same bytes whole, one by one, in two at many places, and in random pieces."""
    yield [data]
    yield [data[i : i + 1] for i in range(len(data))]
    step = max(1, len(data) // 300)
    yield from ([data[:i], data[i:]] for i in range(1, len(data), step))
    chance = random.Random(11)
    for _ in range(20):
        cuts = sorted(chance.sample(range(1, len(data)), min(len(data) - 1, chance.randint(1, 40))))
        yield [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]


def head(content_type: str, *more: tuple[str, str]) -> Headers:
    """The headers of an answer."""
    fields = [("Content-Type", content_type), *more]
    return Headers((name.encode(), value.encode()) for name, value in fields)


def sse(*values: Any, names: bool = False) -> bytes:
    """Server-sent events."""
    return b"".join(
        (f"event: {value['type']}\n" if names else "").encode() + b"data: " + json.dumps(value).encode() + b"\n\n"
        for value in values
    )


def tokens(input_: int, output: int, *, read: int = 0, write: int = 0, reasoning: int = 0) -> Usage:
    """A usage in one line."""
    return Usage(input=input_, output=output, cache_read=read, cache_write=write, reasoning=reasoning)
