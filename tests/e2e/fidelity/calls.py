"""One scripted call, byte for byte, on each road: to the emulator directly, in a tunnel, and by gateway path."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO, cast

from llmauth.demo.emulators import Emulators
from llmauth.demo.http1 import Field
from llmauth.demo.recorder import Recorded
from tests.fixtures.raw import Wire, tunnel
from tests.fixtures.serving import Serving

OPENAI, ANTHROPIC = "api.openai.com", "api.anthropic.com"
RUNTIME, CONTROL = "bedrock-runtime.us-east-1.amazonaws.com", "bedrock.us-east-1.amazonaws.com"
AZURE, VERTEX = "demo-us.openai.azure.com", "us-central1-aiplatform.googleapis.com"
PATHS = {
    OPENAI: "openai",
    ANTHROPIC: "anthropic",
    RUNTIME: "bedrock",
    CONTROL: "bedrock",
    AZURE: "azure",
    VERTEX: "vertex",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A request but for its Host and its credential; a body in pieces is sent in chunks."""

    method: str = "POST"
    target: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | tuple[bytes, ...] | None = None

    def head(self, target: str, *first: tuple[str, str]) -> bytes:
        """The head, with these headers before its own and the framing after."""
        framing = []
        if isinstance(self.body, tuple):
            framing.append(("Transfer-Encoding", "chunked"))
        elif self.body is not None:
            framing.append(("Content-Length", str(len(self.body))))
        fields = [f"{name}: {value}" for name, value in (*first, *self.headers, *framing)]
        return "\r\n".join([f"{self.method} {target} HTTP/1.1", *fields, "", ""]).encode("latin-1")

    def sent_body(self) -> bytes:
        """The body as it goes over the wire."""
        if not isinstance(self.body, tuple):
            return self.body or b""
        return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in self.body) + b"0\r\n\r\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """An answer as it arrived: the status line's bytes, the headers in order, the body without its framing."""

    status_line: bytes
    fields: tuple[Field, ...]
    body: bytes
    complete: bool

    @property
    def status(self) -> int:
        return int(self.status_line.split(b" ")[1])

    def values(self, name: str) -> list[bytes]:
        """All values of a header."""
        return [value for field, value in self.fields if field.lower() == name.lower().encode()]


class _Bytes(io.RawIOBase):
    """A wire as a file, so that lines and counts can be read from it."""

    def __init__(self, wire: Wire) -> None:
        super().__init__()
        self._wire = wire

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(cast(bytearray, buffer))
        data = self._wire.read(len(view))
        view[: len(data)] = data
        return len(data)


def reader(wire: Wire) -> BinaryIO:
    """What arrives on a wire, as a file; one for all its answers."""
    return cast(BinaryIO, io.BufferedReader(_Bytes(wire), 256 * 1024))


def hear_head(stream: BinaryIO) -> tuple[bytes, tuple[Field, ...]]:
    """Status line and headers; EOFError when there are none."""
    status_line, fields = stream.readline().rstrip(b"\r\n"), []
    if not status_line:
        raise EOFError("the connection ended before an answer")
    while line := stream.readline().rstrip(b"\r\n"):
        name, _, value = line.partition(b": ")
        fields.append((name, value))
    return status_line, tuple(fields)


def hear(stream: BinaryIO, method: str = "GET") -> Heard:
    """The next answer, whole."""
    status_line, fields = hear_head(stream)
    index = {name.lower(): value for name, value in fields}
    bodiless = method == "HEAD" or status_line.split(b" ")[1] in (b"204", b"304")
    body, complete = (b"", True) if bodiless else _body(stream, index)
    return Heard(status_line=status_line, fields=fields, body=body, complete=complete)


def _body(stream: BinaryIO, index: dict[bytes, bytes]) -> tuple[bytes, bool]:
    if index.get(b"transfer-encoding", b"").lower() == b"chunked":
        pieces = list(chunks(stream))
        return b"".join(pieces), bool(pieces) and pieces[-1] == b""
    if b"content-length" in index:
        length = int(index[b"content-length"])
        body = stream.read(length)
        return body, len(body) == length
    return stream.read(), True


def chunks(stream: BinaryIO) -> Iterator[bytes]:
    """The chunks of a body as they arrive; the last one is empty, and missing where the body was cut."""
    while size := stream.readline():
        piece = stream.read(int(size.partition(b";")[0], 16))
        if piece:
            stream.readline()
        else:
            while stream.readline().rstrip(b"\r\n"):  # trailers
                pass
        yield piece
        if not piece:
            return


@dataclass(frozen=True, slots=True, kw_only=True)
class Roads:
    """The roads to one set of emulated providers."""

    gateway: Serving
    emulators: Emulators

    def key_of(self, host: str) -> tuple[str, str]:
        """The header in which a provider takes its own key, from who calls it directly."""
        credentials = self.emulators.credentials
        if host == ANTHROPIC:
            return "x-api-key", credentials.anthropic_key
        if host == AZURE:
            return "api-key", credentials.azure_key
        if host == VERTEX:
            return "Authorization", f"Bearer {credentials.google_token}"
        return "Authorization", f"Bearer {credentials.openai_key if host == OPENAI else credentials.bedrock_api_key}"

    @contextmanager
    def direct(self, host: str) -> Iterator[Wire]:
        """A connection to the emulator itself."""
        with Wire(self.emulators.port).start_tls(host, self.emulators.ca_file) as wire:
            yield wire

    def call_directly(self, host: str, call: Call) -> tuple[Recorded, Heard]:
        """With the provider's own key, as somebody who has it."""
        with self.direct(host) as wire:
            return self._exchange(wire, call, call.target, ("Host", host), self.key_of(host))

    def call_in_tunnel(
        self, host: str, call: Call, proof: tuple[str, str] | None = None, *, at_connect: bool = True
    ) -> tuple[Recorded, Heard]:
        """With our key at CONNECT (unless told otherwise) and a placeholder, or `proof`, in the SDK's slot."""
        key = self.gateway.key() if at_connect else None
        with tunnel(self.gateway.port, host, key, self.gateway.ca_file) as wire:
            name, _ = self.key_of(host)
            placeholder = (name, "Bearer placeholder" if name == "Authorization" else "placeholder")
            return self._exchange(wire, call, call.target, ("Host", host), proof or placeholder)

    def call_by_path(self, host: str, call: Call, proof: tuple[str, str] | None = None) -> tuple[Recorded, Heard]:
        """With our key in our own header (or as `proof`)."""
        target = f"/transparent/{PATHS[host]}{call.target}"
        with Wire(self.gateway.port) as wire:
            ours = ("X-API-Key", self.gateway.key())
            return self._exchange(wire, call, target, ("Host", "gateway.example:8080"), proof or ours)

    def _exchange(self, wire: Wire, call: Call, target: str, *first: tuple[str, str]) -> tuple[Recorded, Heard]:
        before = len(self.emulators.requests())
        wire.send(call.head(target, *first) + call.sent_body())
        answer = hear(reader(wire), call.method)
        recorded = self.emulators.requests()[before:]
        assert len(recorded) == 1, f"{len(recorded)} requests arrived; the answer was {answer.status_line!r}"
        return recorded[0], answer
